"""The Python of docs/slicer.md, run as it stands; and what its tables say."""

import os
import re
import subprocess
import unittest
from unittest import mock

import scene
import slicer
import slicer.util
import support

from MRISynthLib.logic import PROVENANCE_ATTRIBUTE, SYNTHETIC_ATTRIBUTE

PAGE = (support.ROOT / "docs" / "slicer.md").read_text()


class Documentation(unittest.TestCase):
    """docs/slicer.md."""

    def test_its_python_runs(self):
        (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
        scene.new_scene()
        saved = []
        # They go through Slicer's application, which is not there.
        load = mock.patch.object(slicer.util, "loadVolume", lambda path: scene.load(path, "example_T2w"))
        save = mock.patch.object(slicer.util, "saveNode", lambda node, path: saved.append((node.GetName(), path)))
        folder = os.getcwd()
        os.chdir(support.ROOT)
        self.addCleanup(os.chdir, folder)
        with load, save:
            exec(compile(code, "docs/slicer.md", "exec"), {"slicer": slicer})
        self.assertEqual(saved, [("example_T2w SYNTHETIC T1w", "target/example_SYNTHETIC_T1w.nrrd")])

    def test_it_names_the_attributes_and_every_argument(self):
        for attribute in (SYNTHETIC_ATTRIBUTE, PROVENANCE_ATTRIBUTE):
            self.assertIn(f"`{attribute}`", PAGE)
        usage = subprocess.run([support.SLICER_CLI, "--help"], check=True, capture_output=True, text=True).stdout
        arguments = set(re.findall(r"--[A-Za-z]+", usage)) - {"--help", "--version"}
        self.assertGreater(len(arguments), 6)
        for argument in arguments:
            self.assertRegex(PAGE, f"[` ]{argument}\\b")


if __name__ == "__main__":
    unittest.main()
