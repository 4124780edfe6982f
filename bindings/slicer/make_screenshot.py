"""Renders slices of a scan and of the synthetic image that is made of it, Screenshots/slices.png: both nodes of a real MRML scene, cut
and shaded by VTK as their display nodes say. It is no picture of Slicer's window, and does not look like one.

    target/slicer-venv/bin/python bindings/slicer/make_screenshot.py [FILE.png]

Needs slicer-core, and libmrisynth where MRISYNTH_LIBRARY or the module's folder has it.
"""

import os
import pathlib
import sys

import slicer
import slicer.util
import vtk

FOLDER = pathlib.Path(__file__).resolve().parent
SCAN = FOLDER.parents[1] / "examples" / "data" / "example_T2w.nii.gz"
SCREENSHOT = FOLDER / "Screenshots" / "slices.png"

sys.path.insert(0, os.environ.get("MRISYNTH_MODULE_FOLDER", str(FOLDER / "MRISynth")))

from MRISynthLib.logic import SYNTHETIC_ATTRIBUTE, Logic, Parameters  # noqa: E402

# Pixels of one slice, millimetres of a pixel, pixels of the lines of text above and below.
SIZE, SPACING, MARGIN = 300, 0.65, 34
# What of the RAS space goes to the right and up in each slice, as radiologists look at it.
VIEWS = {
    "axial": ((-1, 0, 0), (0, 1, 0)),
    "coronal": ((-1, 0, 0), (0, 0, 1)),
    "sagittal": ((0, -1, 0), (0, 0, 1)),
}
# The point that all slices go through, in RAS millimetres.
CENTRE = (4.0, -18.0, 12.0)


def load(path):
    """The scan as a node, shaded from 0 to its largest values."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", path.name.split(".")[0])
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    node.CreateDefaultDisplayNodes()
    node.GetScalarVolumeDisplayNode().AutoWindowLevelOff()
    node.GetScalarVolumeDisplayNode().SetWindowLevelMinMax(0.0, 1.0)
    return node


def slice_of(node, right, up):
    """A slice of a volume node as an image of shades."""
    image = vtk.vtkImageData()
    image.DeepCopy(node.GetImageData())
    image.SetSpacing(1, 1, 1)
    image.SetOrigin(0, 0, 0)
    normal = [0.0, 0.0, 0.0]
    vtk.vtkMath.Cross(right, up, normal)
    axes = vtk.vtkMatrix4x4()
    for row in range(3):
        for column, vector in enumerate((right, up, normal, CENTRE)):
            axes.SetElement(row, column, vector[row])
    ras_to_ijk = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(ras_to_ijk)
    # From a pixel, in millimetres from the centre, to a voxel.
    vtk.vtkMatrix4x4.Multiply4x4(ras_to_ijk, axes, axes)
    to_voxels = vtk.vtkTransform()
    to_voxels.SetMatrix(axes)
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(image)
    reslice.SetResliceTransform(to_voxels)
    reslice.SetInterpolationModeToLinear()
    reslice.SetOutputDimensionality(2)
    reslice.SetOutputSpacing(SPACING, SPACING, 1)
    first = -SPACING * (SIZE - 1) / 2
    reslice.SetOutputOrigin(first, first, 0)
    reslice.SetOutputExtent(0, SIZE - 1, 0, SIZE - 1, 0, 0)
    display = node.GetScalarVolumeDisplayNode()
    shades = vtk.vtkImageMapToWindowLevelColors()
    shades.SetInputConnection(reslice.GetOutputPort())
    shades.SetWindow(display.GetWindow())
    shades.SetLevel(display.GetLevel())
    shades.SetOutputFormatToRGB()
    shades.Update()
    return shades.GetOutput()


def add_text(renderer, text, x, y, size, colour, is_centred=True):
    """Writes a line of text, its middle or its start at a place."""
    actor = vtk.vtkTextActor()
    actor.SetInput(text)
    properties = actor.GetTextProperty()
    properties.SetFontSize(size)
    properties.SetColor(colour)
    properties.SetFontFamilyToArial()
    properties.BoldOn()
    if is_centred:
        properties.SetJustificationToCentered()
    actor.SetPosition(x, y)
    renderer.AddViewProp(actor)


def render(scan, synthetic, path):
    """Writes the picture: the scan's slices above, the synthetic image's below."""
    width, height = SIZE * len(VIEWS), 2 * (SIZE + MARGIN) + MARGIN
    canvas = vtk.vtkImageCanvasSource2D()
    canvas.SetScalarTypeToUnsignedChar()
    canvas.SetNumberOfScalarComponents(3)
    canvas.SetExtent(0, width - 1, 0, height - 1, 0, 0)
    canvas.SetDrawColor(0, 0, 0)
    canvas.FillBox(0, width - 1, 0, height - 1)
    rows = ((scan, 2 * MARGIN + SIZE), (synthetic, MARGIN))
    for node, y in rows:
        for number, (right, up) in enumerate(VIEWS.values()):
            canvas.DrawImage(number * SIZE, y, slice_of(node, right, up))
    canvas.Update()

    mapper = vtk.vtkImageMapper()
    mapper.SetInputConnection(canvas.GetOutputPort())
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    picture = vtk.vtkActor2D()
    picture.SetMapper(mapper)
    renderer = vtk.vtkRenderer()
    renderer.AddViewProp(picture)
    white, orange = (1, 1, 1), (1, 0.67, 0.16)
    add_text(renderer, f"{scan.GetName()}: the scan (simulated)", width / 2, 2 * (SIZE + MARGIN) + 8, 18, white)
    label = f"{synthetic.GetName()}: {synthetic.GetAttribute(SYNTHETIC_ATTRIBUTE)}, not for diagnosis"
    add_text(renderer, label, width / 2, SIZE + MARGIN + 8, 18, orange)
    for number in range(len(VIEWS)):
        add_text(renderer, "SYNTHETIC", number * SIZE + 8, MARGIN + 6, 15, orange, is_centred=False)
    note = "Rendered by make_screenshot.py from nodes of a MRML scene; no picture of Slicer's window."
    add_text(renderer, note, width / 2, 10, 14, (0.7, 0.7, 0.7))
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(0)
    window.SetSize(width, height)
    window.AddRenderer(renderer)
    window.Render()
    grabbed = vtk.vtkWindowToImageFilter()
    grabbed.SetInput(window)
    grabbed.ReadFrontBufferOff()
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputConnection(grabbed.GetOutputPort())
    writer.Write()


def main():
    """Synthesizes, and renders both."""
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else SCREENSHOT
    path.parent.mkdir(parents=True, exist_ok=True)
    slicer.mrmlScene = slicer.vtkMRMLScene()
    scan = load(SCAN)
    synthetic = Logic().synthesize(Parameters(scan, source="T2w", target="T1w", input_state="prepared"))
    render(scan, synthetic, path)


if __name__ == "__main__":
    main()
