"""What gradio keeps of visits: settings of every component, and results that nobody fetched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import routes
from gradio.server_messages import ProcessCompletedMessage

from textok.demo.limits import KEPT_SECONDS, SESSIONS, UNREAD


def forget(page: gr.Blocks) -> None:
    """Let go of visits that are over, and of the oldest where there are too many.

    Nothing is lost but results that were not fetched: the page keeps no state between requests. A
    visit with a request at work or in the queue stays.
    """
    queue, holder = page._queue, page.state_holder
    busy = {event.session_hash for event in queue.event_ids_to_events.values()}
    start = datetime.now() - timedelta(seconds=KEPT_SECONDS)
    old = [name for name, used in list(holder.time_last_used.items()) if used < start]
    for name in [*old, *_too_many(queue)]:
        if name not in busy:
            holder.session_data.pop(name, None)
            holder.time_last_used.pop(name, None)
            queue.pending_messages_per_session.pop(name, None)
            queue.pending_event_ids_session.pop(name, None)
    uploads = routes.file_upload_statuses._statuses
    while len(uploads) > SESSIONS:
        uploads.pop(next(iter(uploads)))
    for files in page.temp_file_sets:
        files -= {name for name in files if not Path(name).exists()}


def _too_many(queue: Any) -> Iterator[str]:
    """The oldest visits beyond ``SESSIONS`` and ``UNREAD``."""
    unread = {
        name: sum(isinstance(one, ProcessCompletedMessage) for one in list(messages._queue))
        for name, messages in list(queue.pending_messages_per_session.items())
    }
    count, results = len(unread), sum(unread.values())
    for name, own in unread.items():
        if count <= SESSIONS and results <= UNREAD:
            return
        if count > SESSIONS or own:
            count, results = count - 1, results - own
            yield name
