"""How displays look: one style sheet, in the colours of the notebook around it.

JupyterLab tells its colours in variables; elsewhere the reader's preference for light or dark
decides. Nothing is said by colour alone. Doubled classes outdo JupyterLab's own rules for tables.
"""

from __future__ import annotations

from crdtsync.notebook.markup import Markup

__all__ = ["LANES", "STYLE", "lane"]

LANES = 6
"""How many replicas are told apart by colour; more begin from the first again."""

_CSS = """
.crdtsync{--ink:var(--jp-content-font-color1,#1c2330);--dim:var(--jp-content-font-color2,#5b6472);
--paper:var(--jp-layout-color0,#fff);--shade:var(--jp-layout-color2,#f1f3f6);
--rule:var(--jp-border-color2,#d5dae1);--warn:#8a5300;--bad:#a3242c;
--lane0:#2563a8;--lane1:#a8471f;--lane2:#2f7d3b;--lane3:#7a3fa0;--lane4:#8a6d00;--lane5:#0b7a83;
color:var(--ink);background:var(--paper);border:1px solid var(--rule);border-radius:6px;
font:13px/1.45 system-ui,sans-serif;margin:2px 0;max-width:100%;overflow-x:auto;padding:8px 12px}
@media (prefers-color-scheme:dark){.crdtsync{
--ink:var(--jp-content-font-color1,#e3e7ee);--dim:var(--jp-content-font-color2,#9aa4b2);
--paper:var(--jp-layout-color0,#14181f);--shade:var(--jp-layout-color2,#222833);
--rule:var(--jp-border-color2,#39414e);--warn:#e3b15f;--bad:#ff8a8f;
--lane0:#78aef0;--lane1:#f0976b;--lane2:#7fcf8b;--lane3:#c99bea;--lane4:#d9bd55;--lane5:#62cbd4}}
body[data-jp-theme-light="true"] .crdtsync{--warn:#8a5300;--bad:#a3242c;
--lane0:#2563a8;--lane1:#a8471f;--lane2:#2f7d3b;--lane3:#7a3fa0;--lane4:#8a6d00;--lane5:#0b7a83}
body[data-jp-theme-light="false"] .crdtsync{--warn:#e3b15f;--bad:#ff8a8f;
--lane0:#78aef0;--lane1:#f0976b;--lane2:#7fcf8b;--lane3:#c99bea;--lane4:#d9bd55;--lane5:#62cbd4}
.crdtsync .title{font-weight:600}.crdtsync .dim{color:var(--dim)}.crdtsync .warn{color:var(--warn)}
.crdtsync .bad{color:var(--bad)}.crdtsync .chosen{font-weight:600}
.crdtsync.crdtsync table{border-collapse:collapse;margin:6px 0 2px;font-size:13px}
.crdtsync.crdtsync table table{margin:0}.crdtsync.crdtsync tbody tr:nth-child(n){background:none}
.crdtsync caption{caption-side:top;text-align:left;padding:2px 0}
.crdtsync.crdtsync th,.crdtsync.crdtsync td{border:0;border-bottom:1px solid var(--rule);
padding:3px 12px 3px 0;text-align:left;vertical-align:top;background:none;color:inherit;
white-space:pre-wrap;overflow-wrap:anywhere;max-width:36em}
.crdtsync.crdtsync td:has(table){max-width:none;white-space:normal}
.crdtsync.crdtsync th{color:var(--dim);font-weight:500}
.crdtsync.crdtsync thead th{white-space:nowrap}
.crdtsync.crdtsync tr:last-child>th,.crdtsync.crdtsync tr:last-child>td{border-bottom:0}
.crdtsync code{background:var(--shade);border-radius:3px;color:inherit;padding:0 3px}
.crdtsync .chip{background:var(--shade);border-radius:9px;padding:0 7px}
.crdtsync.crdtsync svg{max-width:none}
.crdtsync svg text{fill:var(--ink);font:12px system-ui,sans-serif}
.crdtsync svg .quiet{fill:var(--dim)}
"""
STYLE = Markup(f"<style>{''.join(_CSS.splitlines())}</style>")


def lane(index: int) -> str:
    """Return the colour of a replica, by its place among the others."""
    return f"var(--lane{index % LANES})"
