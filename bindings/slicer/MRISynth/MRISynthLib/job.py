"""Work on a thread of its own, which tells how far it is and can be stopped. Knows nothing of Slicer.

The main thread calls poll() often, from a timer or a loop. That is not only to ask: where an application's event loop keeps the
interpreter's lock to itself, as programs that embed Python may, poll() is what lends it to the worker's callbacks.
"""

import queue
import threading

# How long poll() lets the worker have the interpreter, in seconds.
LENT = 0.005


class Job:
    """Runs `work(progress, log)` once: progress(fraction) returns False if the work is to stop, log(level, message) takes a line."""

    def __init__(self, work):
        self.fraction = 0.0
        self._work = work
        self._cancelled = threading.Event()
        self._lines = queue.SimpleQueue()
        self._result = None
        self._failure = None
        # A daemon, so that it never keeps an application alive that is to end.
        self._thread = threading.Thread(target=self._run, name="mrisynth", daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._result = self._work(self._tell, lambda level, message: self._lines.put((level, message)))
        except BaseException as failure:
            self._failure = failure

    def _tell(self, fraction):
        self.fraction = fraction
        return not self._cancelled.is_set()

    def cancel(self):
        """Asks the work to stop; it does within a quarter of a second while it is polled."""
        self._cancelled.set()

    @property
    def is_cancelled(self):
        """Whether the work was asked to stop."""
        return self._cancelled.is_set()

    def poll(self, seconds=LENT):
        """Waits for the work for so long, and says whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def lines(self):
        """The lines of the log since the last call, as (level, message)."""
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get())
        return lines

    def result(self):
        """What the work returned, once it has ended; raises what it raised."""
        if self._failure is not None:
            raise self._failure
        return self._result
