# SPDX-License-Identifier: Apache-2.0
"""What benchmarks share: ratios of medians, as a table, as JSON, as a picture.

A result is a dict: title, note, rows of name, label, native, vgpu, rate, and counts. A
rate is better when larger, all else when smaller; ratios are turned so that in every row
below 1.00 is better than native. A row without native has no ratio. Counts are what the
calling thread takes for an operation: system calls and context switches, on each side;
None where they cannot be counted.
"""
import hashlib
import json
import math
import statistics
import time
from xml.sax.saxutils import escape


def row(name, label, native, vgpu, rate=False):
    """Of lists of values; native may be empty."""
    return {"name": name, "label": label, "rate": rate,
            "native": statistics.median(native) if native else None,
            "vgpu": statistics.median(vgpu)}


def ratio(r):
    if r["native"] is None:
        return None
    return r["native"] / r["vgpu"] if r["rate"] else r["vgpu"] / r["native"]


def counts(native, vgpu, operations):
    """Of (name, label): what NAME_syscalls and NAME_switches say."""
    def both(name, what):
        return [statistics.median(side[f"{name}_{what}"]) if f"{name}_{what}" in side else None
                for side in (native, vgpu)]
    return [{"label": label, "syscalls": both(name, "syscalls"),
             "switches": both(name, "switches")}
            for name, label in operations if f"{name}_switches" in vgpu]


def image_note(sent):
    """Of the times that tests/bench/image took, in ms."""
    data = b"\1" * (64 << 20)
    hashed = []
    for _ in sent:
        began = time.perf_counter()
        hashlib.sha256(data).digest()
        hashed.append((time.perf_counter() - began) * 1e3)
    of, took = statistics.median(hashed), statistics.median(sent)
    return (f"A module's image of 64 MiB is sent in {took:.1f} ms; its SHA-256, by which it could "
            f"be found in a cache instead, takes {of:.1f} ms: {took / of:.2f} of that")


def figures(count):
    return ["-" if n is None else f"{n:.3f}" for n in count["syscalls"] + count["switches"]]


def text(result):
    lines = [result["title"], f"{'':42} {'native':>10} {'vgpu':>10} {'ratio':>7}"]
    for r in result["rows"]:
        line = f"{r['label']:42} "
        line += f"{r['native']:10.2f} {r['vgpu']:10.2f} {ratio(r):7.2f}" \
            if r["native"] is not None else f"{'':10} {r['vgpu']:10.2f}"
        lines.append(line)
    if result["note"]:
        lines.append(result["note"])
    if result["counts"]:
        lines += ["", "the calling thread, for one operation",
                  f"{'':42} {'system calls':^17} {'context switches':^17}",
                  f"{'':42} {'native':>8} {'vgpu':>8} {'native':>8} {'vgpu':>8}"]
        lines += [f"{c['label']:42} " + " ".join(f"{f:>8}" for f in figures(c))
                  for c in result["counts"]]
    return "\n".join(lines)


def markdown(result):
    lines = [f"{result['title']}.", "", "| | native | vgpu | ratio |", "| --- | ---: | ---: | ---: |"]
    for r in result["rows"]:
        native, of = (f"{r['native']:.2f}", f"{ratio(r):.2f}") if r["native"] is not None \
            else ("", "")
        lines.append(f"| {r['label']} | {native} | {r['vgpu']:.2f} | {of} |")
    if result["note"]:
        lines += ["", result["note"]]
    if result["counts"]:
        lines += ["", "The calling thread, for one operation:", "",
                  "| | system calls, native | vgpu | context switches, native | vgpu |",
                  "| --- | ---: | ---: | ---: | ---: |"]
        lines += [f"| {c['label']} | " + " | ".join(figures(c)) + " |" for c in result["counts"]]
    return "\n".join(lines)


def save(path, result):
    with open(path, "w") as out:
        json.dump(result, out, indent=1)
        out.write("\n")


def load(path):
    with open(path) as source:
        return json.load(source)


# --- the picture -------------------------------------------------------------

# Blue and vermilion of Okabe and Ito's palette, which colour-blind eyes tell apart; the
# side of the line says the same.
BETTER, WORSE = "#0072B2", "#D55E00"
LEFT, PLOT, RIGHT = 340, 420, 190       # labels, bars, figures
TOP, STEP, BAR = 84, 24, 15


def svg(result):
    rows = [r for r in result["rows"] if r["native"] is not None]
    ratios = [ratio(r) for r in rows]
    # Whole steps of 1, 2, 5 on a logarithmic scale, at least a factor of two each way.
    ticks = [m * 10 ** e for e in range(-4, 5) for m in (1, 2, 5)]
    low = max(t for t in ticks if t <= min(ratios + [0.5]))
    high = min(t for t in ticks if t >= 1.5 * max(ratios + [2]))
    ticks = [t for t in ticks if low <= t <= high]
    if len(ticks) > 9:
        ticks = [t for t in ticks if t in (low, high) or math.log10(t).is_integer()]

    def x(value):
        return LEFT + PLOT * math.log(value / low) / math.log(high / low)

    bottom = TOP + STEP * len(rows)
    width, height = LEFT + PLOT + RIGHT, bottom + 62
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           f'width="{width}" height="{height}" role="img" '
           'font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="13">',
           f"<title>{escape(result['title'])}</title>",
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>']

    def say(at, y, words, anchor="start", **more):
        style = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in more.items())
        out.append(f'<text x="{at:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>'
                   f"{escape(words)}</text>")

    say(16, 26, "vgpu compared with native", font_size=17, font_weight="bold")
    say(16, 46, result["title"], fill="#444444")
    say(x(1) - 10, TOP - 12, "← better than native", "end", fill=BETTER, font_weight="bold")
    say(x(1) + 10, TOP - 12, "worse →", fill=WORSE, font_weight="bold")
    say(width - 16, TOP - 12, "native → vgpu", "end", fill="#444444")
    for t in ticks:
        out.append(f'<line x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{TOP}" y2="{bottom}" '
                   'stroke="#dddddd"/>')
        say(x(t), bottom + 17, f"{t:g}", "middle", fill="#444444")
    for i, (r, value) in enumerate(zip(rows, ratios)):
        y = TOP + STEP * i + (STEP - BAR) / 2
        base = y + BAR - 3
        at, one = x(value), x(1)
        colour = BETTER if value <= 1 else WORSE
        say(LEFT - 12, base, r["label"], "end")
        out.append(f'<rect x="{min(at, one):.1f}" y="{y:.1f}" width="{max(abs(at - one), 1):.1f}" '
                   f'height="{BAR}" fill="{colour}"/>')
        figure = f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
        # Beside the bar's end; inside the bar where the plot has no room for it.
        if value > 1:
            say(at + 5, base, figure)
        elif at - LEFT > 45:
            say(at - 5, base, figure, "end")
        else:
            say(at + 5, base, figure, fill="#ffffff")
        say(width - 16, base, f"{number(r['native'])} → {number(r['vgpu'])}", "end", fill="#444444")
    out.append(f'<line x1="{x(1):.1f}" x2="{x(1):.1f}" y1="{TOP - 4}" y2="{bottom + 4}" '
               'stroke="#000000" stroke-width="2"/>')
    say(LEFT + PLOT / 2, bottom + 38, "cost relative to native, logarithmic",
        "middle", fill="#444444")
    if result["note"]:
        say(16, bottom + 56, result["note"], fill="#444444", font_size=11)
    return "\n".join(out + ["</svg>"]) + "\n"


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


# --- options -----------------------------------------------------------------

OPTIONS = ("--svg", "--json", "--from", "--title")


def options(words, names=()):
    """Take NAME VALUE of OPTIONS and names, and --markdown, out of words."""
    found = {"--markdown": "--markdown" in words}
    if found["--markdown"]:
        words.remove("--markdown")
    for name in OPTIONS + tuple(names):
        found[name] = None
        if name in words:
            at = words.index(name)
            if at + 1 == len(words):
                raise SystemExit(f"{name} wants a value")
            found[name] = words[at + 1]
            del words[at:at + 2]
    return found


def deliver(result, found):
    if found["--title"]:
        result["title"] = found["--title"]
    print(markdown(result) if found["--markdown"] else text(result))
    if found["--json"]:
        save(found["--json"], result)
    if found["--svg"]:
        with open(found["--svg"], "w") as out:
            out.write(svg(result))
