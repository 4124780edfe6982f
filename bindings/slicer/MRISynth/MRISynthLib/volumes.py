"""Volume nodes as arrays and matrices, and back. Main thread only, as all that touches a scene."""

import numpy
import slicer
import slicer.util
import vtk
import vtk.util.numpy_support


class Unusable(Exception):
    """A node that cannot be synthesized from or into, with the reason."""


def voxels_of(node):
    """A copy of the voxels, indexed [i, j, k]: the node may change and vanish while they are worked on."""
    if node is None:
        raise Unusable("no volume is chosen")
    if node.GetClassName() != "vtkMRMLScalarVolumeNode":
        raise Unusable(f"{node.GetName()} is no scalar volume but a {node.GetClassName()}")
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None or image.GetNumberOfPoints() == 0:
        raise Unusable(f"{node.GetName()} has no voxels")
    if image.GetNumberOfScalarComponents() != 1:
        raise Unusable(f"{node.GetName()} has {image.GetNumberOfScalarComponents()} values a voxel, not one")
    # Slicer's arrays are indexed [k, j, i].
    return numpy.array(slicer.util.arrayFromVolume(node)).transpose()


def index_to_lps(node):
    """The 4x4 matrix from a voxel's index to LPS millimetres in the world: by the node's own geometry and the linear transforms
    that it is under."""
    index_to_ras = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(index_to_ras)
    transform = node.GetParentTransformNode()
    if transform is not None:
        if not transform.IsTransformToWorldLinear():
            raise Unusable(
                f"{node.GetName()} is under {transform.GetName()}, which is not linear: harden it on the volume, or take the "
                "volume out of it"
            )
        to_world = vtk.vtkMatrix4x4()
        transform.GetMatrixTransformToWorld(to_world)
        vtk.vtkMatrix4x4.Multiply4x4(to_world, index_to_ras, index_to_ras)
    matrix = slicer.util.arrayFromVTKMatrix(index_to_ras)
    # RAS to LPS; from 0, so that no -0.0 comes of it.
    matrix[:2] = 0.0 - matrix[:2]
    return matrix


class Placement:
    """Where a volume lies, remembered: its own geometry to the last bit, and the transform that it is under."""

    def __init__(self, node):
        self._geometry = slicer.vtkMRMLScalarVolumeNode()
        self._geometry.CopyOrientation(node)
        self._transform_id = node.GetTransformNodeID()

    def put(self, node):
        """Lays a node where the remembered one lay."""
        node.CopyOrientation(self._geometry)
        node.SetAndObserveTransformNodeID(self._transform_id)


def fill(node, voxels):
    """Gives a node new voxels, indexed [i, j, k]. Those that it had are left as they were, for whoever else has them."""
    image = vtk.vtkImageData()
    image.SetDimensions(voxels.shape)
    image.AllocateScalars(vtk.util.numpy_support.get_vtk_array_type(voxels.dtype), 1)
    scalars = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    scalars[:] = voxels.ravel(order="F")
    node.SetAndObserveImageData(image)
