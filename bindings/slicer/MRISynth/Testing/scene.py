"""A real MRML scene without a window, as slicer-core has it, and nodes in it."""

import numpy
import slicer
import slicer.util
import support
import vtk


def new_scene():
    """An empty scene, which is Slicer's from now on."""
    slicer.mrmlScene = slicer.vtkMRMLScene()
    return slicer.mrmlScene


def load(path, name):
    """A scalar volume node with what Slicer's own reader makes of a file."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetScene(slicer.mrmlScene)
    storage.SetFileName(str(path))
    assert storage.ReadData(node), path
    return node


def load_example(contrast):
    """The prepared example scan."""
    return load(support.EXAMPLES / f"example_{contrast}.nii.gz", f"example_{contrast}")


def add_volume(voxels, index_to_lps, name):
    """A scalar volume node with these voxels, indexed [i, j, k]."""
    return slicer.util.addVolumeFromArray(voxels.transpose(), support.to_lps(index_to_lps), name)


def voxels_of(node):
    """A node's voxels, indexed [i, j, k]."""
    return slicer.util.arrayFromVolume(node).transpose()


def geometry_of(node):
    """All that a node keeps of where its voxels lie, to the last bit."""
    directions = numpy.zeros((3, 3))
    for axis, read in enumerate((node.GetIToRASDirection, node.GetJToRASDirection, node.GetKToRASDirection)):
        read(directions[axis])
    return (node.GetOrigin(), node.GetSpacing(), directions.tolist(), node.GetImageData().GetDimensions())


def matrix_of(node):
    """A node's matrix from index to RAS."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def volume_count():
    """How many scalar volume nodes the scene has."""
    return slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")


def rotation(axis, degrees):
    """A rotation about a coordinate axis, as a 4x4 matrix."""
    transform = vtk.vtkTransform()
    transform.RotateWXYZ(degrees, *[float(number == axis) for number in range(3)])
    return slicer.util.arrayFromVTKMatrix(transform.GetMatrix())
