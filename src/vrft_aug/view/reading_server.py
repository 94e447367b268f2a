"""The web server of a reader study: a start page, one case at a time, and answers that are saved at once.

A page holds what its reader may know and nothing else: no truth, no case id, no file name, and the model's
answer only where the reader is to see it. Pictures are named by the reader's own count and served for the
case that is open now, drawn anew without what their files say of themselves.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from vrft_aug.errors import UserError
from vrft_aug.nouns import Case
from vrft_aug.page_templates import page_templates
from vrft_aug.reader_study.answer_log import FLAGS, LONGEST
from vrft_aug.reader_study.desk import CANNOT_TELL, NONE_OF_THEM, Desk, Now, open_desk
from vrft_aug.reader_study.material import open_material
from vrft_aug.reader_study.protocol import Protocol
from vrft_aug.run.lock import run_locked
from vrft_aug.view.guard import Guard, check_host
from vrft_aug.view.listening import listen, static_file

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

LARGEST = 4096  # pixels of the longer side of a served picture
MOST = 65_536  # bytes of an answer


@dataclass(frozen=True)
class Shown:
    """A picture as a page has it: drawn anew, without loss."""

    data: bytes  # PNG
    size: tuple[int, int]  # of the original, in whose pixels boxes are


def serve_study(
    protocol: Protocol,
    output: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    public: bool = False,
) -> None:
    """Let readers read until interrupted; answers go into `output`, by default runs/readers/NAME.

    Raises UserError for a study that cannot be read out, answers of another one, and where it may not listen.
    """
    check_host(host, public)
    material, cases = open_material(protocol)
    for case in cases.values():
        for ref in case.images:
            ref.open()  # raises, naming it, for a picture that no reader could see
    folder = output or Path("runs/readers") / protocol.name
    with run_locked(folder, "vrft ui --study"):
        desk = open_desk(folder, material)
        for reader, torn in desk.mended.items():
            told = f"an answer that a crash cut off ({torn} bytes) was put aside; it is asked again"
            print(f"reader {reader}: {told}", file=sys.stderr)
        print(f"answers: {folder / 'answers'}; afterwards: vrft readers {folder}", flush=True)
        listen(make_study_app(desk, cases, public), host, port)


def make_study_app(desk: Desk, cases: Mapping[str, Case], public: bool = False) -> ASGIApp:
    """The application; `cases` by id hold the pictures."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    pages = ReadingPages(desk, cases)
    routes = [
        Route("/", pages.start),
        Route("/read/{reader}", pages.read, methods=["GET"]),
        Route("/read/{reader}", pages.answer, methods=["POST"]),
        Route("/picture/{reader}/{place:int}/{number:int}", pages.picture),
        Route("/static/{name}", static_file),
    ]
    return Guard(Starlette(routes=routes), public)


class ReadingPages:
    """The pages of a study."""

    def __init__(self, desk: Desk, cases: Mapping[str, Case]) -> None:
        self.desk = desk
        self.cases = cases
        self.templates = page_templates("view/templates")
        self.shown = lru_cache(maxsize=8)(self._shown)

    def start(self, request: Request) -> Response:
        """Where readers pick their code name."""
        readers = [(reader, *self.desk.progress(reader)) for reader in self.desk.readers]
        return self._page("reading_start.html", {"readers": readers})

    def read(self, request: Request) -> Response:
        """What a reader is to do now."""
        reader = request.path_params["reader"]
        if reader not in self.desk.readers:
            return self._page("reading_pause.html", {"reader": "", "why": "unknown", "now": None}, 404)
        now = self.desk.now(reader)
        if now.slot is None:
            why = "done" if now.opens is None else "wait"
            return self._page("reading_pause.html", {"reader": reader, "why": why, "now": now})
        try:
            self.desk.open(reader, now.slot.place)
        except OSError as error:
            return self._not_saved(reader, error)
        said = {
            "before": "before" in request.query_params,
            "incomplete": "incomplete" in request.query_params,
        }
        return self._page("reading_case.html", self._case(reader, now) | said)

    async def answer(self, request: Request) -> Response:
        """Save an answer, then go on."""
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import PlainTextResponse, RedirectResponse

        reader = request.path_params["reader"]
        if reader not in self.desk.readers:
            return PlainTextResponse("no such reader", status_code=404)
        if _is_foreign(request):
            return PlainTextResponse("this answer comes from another page", status_code=403)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST:
                return PlainTextResponse("too long", status_code=413)
        form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        place = form.get("place", [""])[0]
        if not place.isdecimal() or len(place) > 9:
            return PlainTextResponse("no place", status_code=400)
        take = partial(
            self.desk.take, reader, int(place), answers=form.get("answer", []), flags=form.get("flag", []),
            comment=form.get("comment", [""])[0], seconds=_number(form.get("seconds", [""])[0]),
        )  # fmt: skip
        try:
            taken = await run_in_threadpool(take)
        except OSError as error:
            return self._not_saved(reader, error)
        query = "" if taken == "saved" else f"?{taken}=1"
        following = f"/read/{quote(reader)}{query}"
        if request.headers.get("accept") == "text/plain":  # the page's script goes there itself
            return PlainTextResponse(following)
        return RedirectResponse(following, status_code=303)

    def picture(self, request: Request) -> Response:
        """A picture of the case that a reader has open."""
        from starlette.responses import PlainTextResponse, Response

        reader, number = request.path_params["reader"], request.path_params["number"]
        now = self.desk.now(reader) if reader in self.desk.readers else None
        if (
            now is None
            or now.slot is None
            or now.case is None
            or now.slot.place != request.path_params["place"]
        ):
            return PlainTextResponse("no such picture", status_code=404)
        try:
            if number >= len(self.cases[now.case.case].images):
                return PlainTextResponse("no such picture", status_code=404)
            return Response(self.shown(now.case.case, number).data, media_type="image/png")
        except UserError as error:  # names the file, which is for who runs the study
            print(f"reader {reader}, place {now.slot.place}: {error}", file=sys.stderr, flush=True)
            return PlainTextResponse("the picture cannot be read", status_code=500)

    def _case(self, reader: str, now: Now) -> dict[str, Any]:
        """Everything that the page of a case may hold."""
        assert now.slot is not None and now.case is not None
        case, doing, material = now.case, now.slot.doing, self.desk.material
        told = doing != "unaided"
        show = ("reasoning", "boxes") if doing == "rating" else material.protocol.show
        boxes = case.boxes if told and "boxes" in show else ()
        answer = "" if case.answer is None else case.answer or "none of them"
        if case.boxes or material.kind == "localise":
            answer = f"{len(case.boxes)} box{'' if len(case.boxes) == 1 else 'es'}"
        return {
            "reader": reader,
            "place": now.slot.place,
            "now": now,
            "doing": doing,
            "kind": material.kind,
            "modality": material.modality,
            "question": case.question,
            "options": case.options,
            "flags": FLAGS,
            "pictures": self._sizes(case.case),
            "model": {
                "answer": answer or "no answer",
                "reasoning": case.reasoning if "reasoning" in show else "",
                "boxes": boxes,
            }
            if told
            else None,
            "cannot_tell": CANNOT_TELL if material.protocol.cannot_tell else "",
            "none_of_them": NONE_OF_THEM,
            "longest": LONGEST,
        }

    def _sizes(self, case: str) -> Sequence[tuple[int, int]]:
        """Of the pictures of a case; (0, 0) for one that cannot be read any more, of which the page tells."""
        sizes = []
        for number in range(len(self.cases[case].images)):
            try:
                sizes.append(self.shown(case, number).size)
            except UserError:
                sizes.append((0, 0))
        return sizes

    def _shown(self, case: str, number: int) -> Shown:
        image = self.cases[case].images[number].open().convert("RGB")
        size = image.size
        image.thumbnail((LARGEST, LARGEST))
        image.info.clear()
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", compress_level=1)
        return Shown(buffer.getvalue(), size)

    def _not_saved(self, reader: str, error: OSError) -> Response:
        print(f"reader {reader}: an answer could not be saved: {error}", file=sys.stderr, flush=True)
        return self._page("reading_pause.html", {"reader": reader, "why": "full", "now": None}, 507)

    def _page(self, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
        from starlette.responses import HTMLResponse

        protocol = self.desk.material.protocol
        told = {
            "heading": protocol.heading,
            "instructions": protocol.instructions,
            "aided": "aided" in protocol.conditions,
            "rated": protocol.rating is not None,
        }
        html = self.templates.get_template(template).render(**told, **context)
        return HTMLResponse(html, status_code=status)


def _is_foreign(request: Request) -> bool:
    """Whether a page of another site sends this; browsers say so, and other programs need not."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin", "null")
    return origin != "null" and urlsplit(origin).netloc != request.headers.get("host", "")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
