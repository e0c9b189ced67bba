# SPDX-License-Identifier: Apache-2.0
"""The code blocks of a document, so that a test runs what operators read.

A block whose lines begin with "host # " is commands, with what they print below them; the test
has them as steps of the rig. What `cat FILE` prints is a file that the operator writes. A block
of a configuration belongs to the path that the paragraph above it begins with.
"""
import re
import shlex

PROMPT = "host # "


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
        """The blocks of commands of a section, each as a script for the rig."""
        return [script(block) for _, block in self.sections[title] if block.startswith(PROMPT)]

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


def script(block):
    """`written FILE` and `typed COMMAND`, each with the lines below it as its input."""
    made = []
    for part in block.removeprefix(PROMPT).split("\n" + PROMPT):
        command, _, below = part.partition("\n")
        file = re.fullmatch(r"cat ([\w.]+)", command)
        call = f"written {file.group(1)}" if file else f"typed {shlex.quote(command)}"
        made.append(f"{call} <<'END'\n{below}{'' if below[-1:] in ('', chr(10)) else chr(10)}END\n")
    return "".join(made)
