"""The viewer's web server: pages made from the runs in memory; it serves no file by its path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from vrft_aug.page_templates import page_templates
from vrft_aug.view.filters import OUTCOMES, BadFilter, Filter, address
from vrft_aug.view.guard import Guard, check_host
from vrft_aug.view.listening import listen, static_file
from vrft_aug.view.pages import cards, earns_the_same, facts, looks, tree
from vrft_aug.view.rollout_index import STEPLESS, Group
from vrft_aug.view.run_index import ViewedRun, open_runs

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp


def serve(folders: Sequence[Path], host: str = "127.0.0.1", port: int = 8765, public: bool = False) -> None:
    """Show runs until interrupted.

    Raises UserError for what is no run, and where it may not or cannot listen.
    """
    check_host(host, public)
    runs = open_runs(folders)
    app = make_app(runs, public)
    Thread(target=_read_ahead, args=[list(runs.values())], daemon=True).start()
    listen(app, host, port)


def _read_ahead(runs: Sequence[ViewedRun]) -> None:
    """Read the cases before the first page asks for them."""
    for run in runs:
        for group in (run.training.groups or run.evaluation.groups)[:1]:
            run.book.case(group.task, group.case)


def make_app(runs: Mapping[str, ViewedRun], public: bool = False) -> ASGIApp:
    """The application; `runs` by name."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    viewer = Viewer(runs)
    routes = [
        Route("/", viewer.browse),
        Route("/case", viewer.compare),
        Route("/picture", viewer.picture),
        Route("/status", viewer.status),
        Route("/static/{name}", static_file),
    ]
    return Guard(Starlette(routes=routes), public)


class Viewer:
    """The pages. They are plain functions of the address and of what the runs hold."""

    def __init__(self, runs: Mapping[str, ViewedRun]) -> None:
        self.runs = runs
        self.templates = _environment()

    def browse(self, request: Request) -> Response:
        """Steps and groups, and the chosen group with all its completions."""
        query = request.query_params
        run = self._run(query.get("run"))
        run.refresh()
        try:
            wanted, problem = Filter.read(query), ""
        except BadFilter as error:
            wanted, problem = Filter(), str(error)
        stages = run.stages()
        if not wanted.stage and stages == [STEPLESS]:
            wanted = Filter(**{**wanted.__dict__, "stage": STEPLESS})
        found = run.matches(wanted)
        follow = "1" if query.get("follow") else ""
        chosen, place = _chosen(found, query.get("g"), bool(follow))
        base = {"run": run.name, **wanted.query(), "follow": follow}
        context: dict[str, Any] = {
            "run": run,
            "base": base,
            "wanted": wanted,
            "problem": problem,
            "stages": stages,
            "outcomes": OUTCOMES,
            "matched": sum(len(kept) for _, kept in found),
            "in_all": len(run.source(wanted.stage).entries),
            "written": len(run.training.entries),
            "follow": follow,
            "steps": tree(run, wanted, base, chosen),
            "group": chosen,
        }
        if chosen is not None:
            numbers = [group.number for group, _ in found]
            context |= self._neighbours(found, place, base)
            context |= {
                "cards": cards(run, chosen, found[place][1]),
                "flat": earns_the_same(run, chosen),
                "pick": _picked(query.get("pick"), chosen, found[place][1]),
                "facts": facts(run.book, chosen, run.source(wanted.stage).entries[chosen.places[0]].told),
                "picture": run.book.picture(chosen.task, chosen.case, 0),
                "position": f"{place + 1} of {len(numbers)}",
            }
        return self._page("browse.html", context)

    def compare(self, request: Request) -> Response:
        """One case in all steps of all runs."""
        query = request.query_params
        task, case = query.get("task", ""), query.get("case", "")
        first = self._run(query.get("run"))
        for run in self.runs.values():
            run.refresh()
        holder = next((run for run in (first, *self.runs.values()) if run.book.case(task, case)), first)
        by_run = {name: looks(run, task, case) for name, run in self.runs.items()}
        context = {
            "run": first,
            "task": task,
            "case": case,
            "by_run": by_run,
            "holder": holder,
            "truth": holder.book.truth(task, case),
            "true_boxes": holder.book.true_boxes(task, case),
            "picture": holder.book.picture(task, case, 0),
        }
        return self._page("compare.html", context, 200 if any(by_run.values()) else 404)

    def picture(self, request: Request) -> Response:
        """A picture of a case, by the case's id."""
        from starlette.responses import PlainTextResponse, Response

        query = request.query_params
        run = self._run(query.get("run"))
        number = _whole(query.get("n")) or 0
        found = run.book.picture(query.get("task", ""), query.get("case", ""), number)
        if found is None:
            return PlainTextResponse("no such picture", status_code=404)
        return Response(found.data, media_type=found.media_type)

    def status(self, request: Request) -> Response:
        """How many completions there are, for pages that follow a run."""
        from starlette.responses import JSONResponse

        run = self._run(request.query_params.get("run"))
        run.refresh()
        return JSONResponse({"rollouts": len(run.training.entries)})

    def _run(self, name: str | None) -> ViewedRun:
        return self.runs.get(name or "", next(iter(self.runs.values())))

    def _neighbours(
        self, found: Sequence[tuple[Group, list[int]]], place: int, base: Mapping[str, str]
    ) -> dict[str, str]:
        """Links to the groups and steps before and after, "" at the ends."""

        def link(to: int | None) -> str:
            return "" if to is None else address("/", base, g=found[to][0].number)

        here = (found[place][0].stage, found[place][0].step)
        later = (i for i in range(place, len(found)) if (found[i][0].stage, found[i][0].step) != here)
        earlier = (i for i in range(place, -1, -1) if (found[i][0].stage, found[i][0].step) != here)
        return {
            "before": link(place - 1 if place > 0 else None),
            "after": link(place + 1 if place + 1 < len(found) else None),
            "step_before": link(next(earlier, None)),
            "step_after": link(next(later, None)),
        }

    def _page(self, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
        from starlette.responses import HTMLResponse

        html = self.templates.get_template(template).render(runs=self.runs, **context)
        return HTMLResponse(html, status_code=status)


def _chosen(
    found: Sequence[tuple[Group, list[int]]], asked: str | None, newest: bool
) -> tuple[Group | None, int]:
    """The group that an address names if the filter lets it through, else the first (or the newest)."""
    if not found:
        return None, 0
    number = _whole(asked)
    for place, (group, _) in enumerate(found):
        if group.number == number:
            return group, place
    place = len(found) - 1 if newest else 0
    return found[place][0], place


def _picked(asked: str | None, group: Group, kept: Sequence[int]) -> int:
    """The completion that an address names, else the first that passes the filter."""
    number = _whole(asked)
    return group.places.index(kept[0]) if number is None or number >= len(group.places) else number


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 12 else None


def _environment() -> Environment:
    environment = page_templates("view/templates")
    environment.globals.update(address=address, number=_number)
    return environment


def _number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """With a true minus, and no sign at what rounds to zero; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "\N{MINUS SIGN}")
