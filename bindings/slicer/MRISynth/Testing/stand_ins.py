"""Stand-ins for what there is of Slicer only where there is Qt: the module `qt`, the base classes of scripted modules, and widgets.

slicer-core has no Qt. With these the module file can be loaded and its widget worked in the real scene: that shows that the widget
does what it should with the logic, not that Qt draws it. The widgets are made by the names and classes in the .ui file, and have
no more than the properties, slots and signals that they have in Qt and that the module uses.
"""

import importlib
import sys
import types
import xml.etree.ElementTree

import slicer
import slicer.util
import support

UI = support.MODULE_FOLDER / "Resources" / "UI" / "MRISynth.ui"


class Emitter:
    """Something with signals."""

    signals = ()

    def __init__(self):
        self._slots = {signal: [] for signal in self.signals}

    def connect(self, signal, slot):
        self._slots[signal].append(slot)

    def emit(self, signal, *arguments):
        for slot in self._slots[signal]:
            slot(*arguments)


class QTimer(Emitter):
    """A timer that a test makes tick."""

    signals = ("timeout()",)
    last = None

    def __init__(self):
        super().__init__()
        self.is_active, self.interval = False, None
        QTimer.last = self

    def setInterval(self, milliseconds):
        self.interval = milliseconds

    def start(self):
        self.is_active = True

    def stop(self):
        self.is_active = False


class QLabel(Emitter):
    text = ""


class QPushButton(Emitter):
    signals = ("clicked(bool)",)
    text, enabled, toolTip = "", False, ""

    def click(self):
        assert self.enabled
        self.emit("clicked(bool)", False)


class QComboBox(Emitter):
    def __init__(self):
        super().__init__()
        self.items, self.currentIndex = [], -1

    def addItem(self, text):
        self.items.append(text)
        self.currentIndex = max(self.currentIndex, 0)

    def setCurrentIndex(self, index):
        assert 0 <= index < len(self.items)
        self.currentIndex = index


class QCheckBox(Emitter):
    checked = False


class QSpinBox(Emitter):
    value = 0


class QProgressBar(Emitter):
    is_visible, value, range = True, 0, None

    def setRange(self, first, last):
        self.range = (first, last)

    def setValue(self, value):
        assert isinstance(value, int) and self.range[0] <= value <= self.range[1]
        self.value = value

    def show(self):
        self.is_visible = True

    def hide(self):
        self.is_visible = False


class QPlainTextEdit(Emitter):
    plainText = ""

    def appendPlainText(self, line):
        self.plainText += ("\n" if self.plainText else "") + line


class ctkPathLineEdit(Emitter):
    currentPath = ""


class qMRMLNodeComboBox(Emitter):
    signals = ("currentNodeChanged(vtkMRMLNode*)",)
    _node = None

    def currentNode(self):
        return self._node

    def setCurrentNode(self, node):
        self._node = node
        self.emit("currentNodeChanged(vtkMRMLNode*)", node)


class Container(Emitter):
    scene = None

    def setMRMLScene(self, scene):
        self.scene = scene


CLASSES = {name: value for name, value in globals().items() if isinstance(value, type) and issubclass(value, Emitter)}
CLASSES.update(qMRMLWidget=Container, ctkCollapsibleButton=Container)


def load_ui(path):
    """A panel with widgets by the names in a .ui file."""
    panel = Container()
    elements = xml.etree.ElementTree.parse(path).iter("widget")
    panel.children = {element.get("name"): CLASSES[element.get("class")]() for element in elements}
    return panel


class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent


class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None):
        pass


class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        self.layout = types.SimpleNamespace(addWidget=lambda widget: None)

    def setup(self):
        pass

    def resourcePath(self, name):
        return str(support.MODULE_FOLDER / "Resources" / name)


def load_module():
    """The module file, with stand-ins for what is not there."""
    import unittest

    stand_ins = {
        "qt": {"QTimer": QTimer},
        "slicer.i18n": {"tr": lambda text: text, "translate": lambda context, text: text},
        "slicer.ScriptedLoadableModule": {
            "ScriptedLoadableModule": ScriptedLoadableModule,
            "ScriptedLoadableModuleLogic": ScriptedLoadableModuleLogic,
            "ScriptedLoadableModuleTest": unittest.TestCase,
            "ScriptedLoadableModuleWidget": ScriptedLoadableModuleWidget,
        },
    }
    for name, content in stand_ins.items():
        assert importlib.util.find_spec(name) is None, f"{name} is there: it needs no stand-in"
        module = types.ModuleType(name)
        module.__dict__.update(content)
        sys.modules[name] = module
    slicer.util.loadUI = load_ui
    slicer.util.childWidgetVariables = lambda panel: types.SimpleNamespace(**panel.children)
    return importlib.import_module("MRISynth")
