"""Work on a thread of its own. Needs nothing but Python."""

import time
import unittest

import support  # noqa: F401  finds MRISynthLib

from MRISynthLib.job import Job


def ended(job):
    """The job, once it has ended."""
    while not job.poll():
        pass
    return job


class Jobs(unittest.TestCase):
    """What a job returns, raises and tells."""

    def test_results_failures_and_lines_come_back(self):
        def work(progress, log):
            log("warning", "first")
            progress(0.5)
            log("information", "second")
            return 7

        job = ended(Job(work))
        self.assertEqual((job.result(), job.fraction), (7, 0.5))
        self.assertEqual(job.lines(), [("warning", "first"), ("information", "second")])
        self.assertEqual(job.lines(), [])
        failure = ValueError("mine")

        def fail(progress, log):
            raise failure

        with self.assertRaises(ValueError) as caught:
            ended(Job(fail)).result()
        self.assertIs(caught.exception, failure)

    def test_a_wish_to_stop_is_told_to_the_work(self):
        def work(progress, log):
            while progress(0.1):
                time.sleep(0.001)
            return "stopped"

        job = Job(work)
        self.assertFalse(job.poll())
        self.assertFalse(job.is_cancelled)
        job.cancel()
        self.assertTrue(job.is_cancelled)
        self.assertEqual(ended(job).result(), "stopped")


if __name__ == "__main__":
    unittest.main()
