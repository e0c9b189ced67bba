# SPDX-License-Identifier: Apache-2.0
"""The code blocks of a document, so that a test runs what operators read.

A block whose first line begins with a prompt is commands, with what they print below them; the
test has them as steps of the rig. What `cat FILE` prints is a file that the operator writes. A block
of a configuration belongs to the path that the paragraph above it begins with.

A prompt may name what the machine must have, as in "host, GPU # nvidia-smi". Such a line is left
out, unless it names the release of Debian that the host of the test has.
"""
import re
import shlex

PROMPT = re.compile(r"^(host|guest)(?:, ([^#$\n]+))? [#$] ", re.M)
RELEASES = {"Debian 12": "bookworm", "Debian 13": "trixie"}


class Line:
    """A command: the machine, what that must have beyond the rig's, and what is printed below."""

    def __init__(self, machine, mark, text):
        self.machine, self.mark = machine, mark
        self.command, _, self.below = text.rstrip("\n").partition("\n")

    def typed(self, suite):
        return self.machine == "host" and (not self.mark or RELEASES.get(self.mark) == suite)

    def script(self):
        """`written FILE` or `typed COMMAND`, with the lines below it as its input."""
        file = re.fullmatch(r"cat ([\w.]+)", self.command)
        call = f"written {file.group(1)}" if file else f"typed {shlex.quote(self.command)}"
        return f"{call} <<'END'\n{self.below}{self.below and chr(10)}END\n"


class Document:
    """sections: the blocks of each section, each with the paragraph above it."""

    def __init__(self, path):
        with open(path) as handle:
            text = handle.read()
        self.sections = {}
        for section in re.split(r"^## ", text, flags=re.M)[1:]:
            title, _, body = section.partition("\n")
            parts = re.split(r"^```\n(.*?)^```\n", body, flags=re.M | re.S)
            self.sections[title] = [(parts[i - 1].strip().split("\n\n")[-1], parts[i])
                                    for i in range(1, len(parts), 2)]

    def commands(self, title):
        """The blocks of commands of a section, each as a list of lines."""
        return [lines(block) for _, block in self.sections[title] if PROMPT.match(block)]

    def lines(self):
        """All commands of the document."""
        return [line for title in self.sections for block in self.commands(title) for line in block]

    def scripts(self, suite):
        """{name: script} of all blocks of which the test types something."""
        made = {}
        for title in self.sections:
            name = re.sub(r"\W+", "-", title.lower()).strip("-")
            for number, block in enumerate(self.commands(title), 1):
                typed = [line.script() for line in block if line.typed(suite)]
                if typed:
                    made[f"{name}-{number}.sh"] = "".join(typed)
        return made

    def file(self, title):
        """(path, text) of the configuration that a section shows."""
        for above, block in self.sections[title]:
            path = re.match(r"`(/etc/\S+)`", above)
            if path:
                return path.group(1), block
        raise ValueError(f"{title} shows no file")

    def fragments(self, title, first):
        """The parts of the block that begins with `first`; a line … stands between them."""
        for _, block in self.sections[title]:
            if block.startswith(first):
                return block.split("…\n")
        raise ValueError(f"{title} has no block {first}")


def lines(block):
    """The commands of a block; what does not begin with a prompt was printed by the one before."""
    starts = list(PROMPT.finditer(block))
    ends = [m.start() for m in starts[1:]] + [len(block)]
    return [Line(m.group(1), m.group(2), block[m.end():end]) for m, end in zip(starts, ends)]
