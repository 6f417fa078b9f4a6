"""Widgets that need a kernel, and what stands in their place where none answers them.

A widget without its kernel is dead: after a reload it is an error's line, after a restart sliders that move nothing. So
its start is displayed beside it as plain HTML. While the widget lives, a rule of CSS hides that picture. When it is
dead, and on an exported page, the widget is hidden, and the picture is there, with one line that says how to bring the
widget to life.
"""

from __future__ import annotations

import hashlib
from typing import Any

from markupsafe import Markup

from faultlab.pictures.figure import display_html
from faultlab.pictures.words import fill

_RULES = (
    "body:has(.{0}-alive:not(.jupyter-widgets-disconnected)) .{0}{{display:none}}"
    ".{0}-alive.jupyter-widgets-disconnected{{display:none}}"
    # JupyterLab's line that a saved widget is loading, or isn't found: an output of nothing but text
    ".jp-OutputArea-child:has(+.jp-OutputArea-child .{0})>.jp-OutputArea-output:not(:has(*)){{display:none}}"
)

_NAMES = """<script>(() => {
  if (window.faultlabNames) return;
  const names = () => {
    for (const still of document.querySelectorAll("[data-alive]")) {
      const box = document.querySelector("." + still.dataset.alive + "-alive");
      if (!box) continue;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", still.getAttribute("aria-label"));
      for (const one of box.querySelectorAll(".noUi-handle, input[type=radio]")) {
        one.setAttribute("data-lm-suppress-shortcuts", "true");
        const label = one.closest(".jupyter-widgets").querySelector(".widget-label");
        if (one.type === "radio") one.name = still.dataset.alive;
        else if (label) one.setAttribute("aria-label", label.textContent);
      }
    }
  };
  let due = 0;
  const soon = () => { due = due || setTimeout(() => { due = 0; names(); }, 200); };
  window.faultlabNames = new MutationObserver(soon);
  window.faultlabNames.observe(document.body, { childList: true, subtree: true });
  soon();
})()</script>"""
"""Names what ipywidgets leaves without a name: the group, sliders' handles, radio buttons that belong together.

Their keys are their own: otherwise JupyterLab takes the arrows to choose another cell.
"""


def show_alive(box: Any, still: Markup, label: str, words: str) -> None:
    """Display a widget, with what takes its place when it is dead.

    box: an ipywidget. still: what takes its place. label: the widget's name for people who can't see it. words: what is
    said in plain text.
    """
    from IPython.display import display

    name = f"faultlab-still-{hashlib.sha256(still.encode()).hexdigest()[:12]}"
    box.add_class(f"{name}-alive")
    display(box)  # type: ignore[no-untyped-call]
    rules = Markup("<style>{}</style>").format(Markup(_RULES.format(name)))
    kept = fill('<div class="{0}" data-alive="{0}" role="group" aria-label="{1}">', name, label, longest=400) + still
    display_html(rules + kept + Markup("</div>") + Markup(_NAMES), words)
