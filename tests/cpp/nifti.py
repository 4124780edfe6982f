"""Reads NIfTI files without any library, to check what programs made of them.

  nifti.py to-c SCAN VOXELS GRID         packed floats and a grid, as tests/c/files.h reads them
  nifti.py same ONE OTHER                fails unless voxel bytes and geometry are the same, to the bit
  nifti.py same-place ONE OTHER          the same for the geometry alone; versions of the format may differ
  nifti.py same-floats FILE VOXELS       fails unless the float voxels of FILE are these bytes
  nifti.py synthetic FILE                fails unless FILE says that it is synthetic, in description and intent name
  nifti.py recorded FILE SCAN            fails unless the JSON in FILE's extension is that of its voxels, of their place and of SCAN
  nifti.py variants SCAN FOLDER          the scan again, as other files that hold the same numbers in the same place
"""

import array
import gzip
import hashlib
import json
import pathlib
import struct
import sys

# Fields of the headers: offset and format.
NIFTI1 = {
    "dim": (40, "8h"),
    "datatype": (70, "h"),
    "bitpix": (72, "h"),
    "pixdim": (76, "8f"),
    "vox_offset": (108, "f"),
    "scl_slope": (112, "f"),
    "scl_inter": (116, "f"),
    "xyzt_units": (123, "B"),
    "descrip": (148, "80s"),
    "qform_code": (252, "h"),
    "sform_code": (254, "h"),
    "quatern": (256, "3f"),
    "qoffset": (268, "3f"),
    "srow": (280, "12f"),
    "intent_name": (328, "16s"),
}
NIFTI2 = {
    "datatype": (12, "h"),
    "bitpix": (14, "h"),
    "dim": (16, "8q"),
    "pixdim": (104, "8d"),
    "vox_offset": (168, "q"),
    "scl_slope": (176, "d"),
    "scl_inter": (184, "d"),
    "descrip": (240, "80s"),
    "qform_code": (344, "i"),
    "sform_code": (348, "i"),
    "quatern": (352, "3d"),
    "qoffset": (376, "3d"),
    "srow": (400, "12d"),
    "xyzt_units": (500, "i"),
    "intent_name": (508, "16s"),
}
VERSIONS = {348: NIFTI1, 540: NIFTI2}
GEOMETRY = ["dim", "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern", "qoffset", "srow"]
INT16, FLOAT32 = 4, 16


class File:
    def __init__(self, path):
        raw = pathlib.Path(path).read_bytes()
        self.bytes = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        self.path = path
        for self.order in "<>":
            self.fields = VERSIONS.get(struct.unpack_from(self.order + "i", self.bytes)[0])
            if self.fields is not None:
                return
        sys.exit(f"{path}: not a NIfTI file")

    def values(self, name):
        offset, form = self.fields[name]
        return struct.unpack_from(self.order + form, self.bytes, offset)

    def numbers(self, name):
        """The numbers of a field, so that files of both versions compare, and 0 and -0 do not."""
        values = list(self.values(name))
        if name == "pixdim":
            # The side of the axes in a qform; the format takes 0 for 1.
            values[0] = values[0] or 1
        return [repr(float(value)) for value in values]

    def value(self, name):
        return self.values(name)[0]

    def voxel_bytes(self):
        count = self.value("bitpix") // 8
        for length in self.values("dim")[1:4]:
            count *= length
        offset = int(self.value("vox_offset"))
        return self.bytes[offset : offset + count]

    def doubles(self):
        """Voxels as the file scales them."""
        form = {INT16: "h", FLOAT32: "f"}[self.value("datatype")]
        stored = array.array(form, self.voxel_bytes())
        slope, inter = self.value("scl_slope"), self.value("scl_inter")
        return array.array("d", (value * slope + inter for value in stored) if slope else stored)


def to_c(scan, voxels, grid):
    scan = File(scan)
    pathlib.Path(voxels).write_bytes(array.array("f", scan.doubles()).tobytes())
    assert scan.value("sform_code") > 0 and scan.value("xyzt_units") & 7 == 2
    rows = [list(scan.values("srow")[4 * row : 4 * row + 4]) for row in range(3)] + [[0, 0, 0, 1]]
    # From right and front to left and back.
    to_lps = [[-entry for entry in row] for row in rows[:2]] + rows[2:]
    numbers = [*scan.values("dim")[1:4], *(entry for row in to_lps for entry in row)]
    pathlib.Path(grid).write_text("\n".join(repr(number) for number in numbers) + "\n")


def same_fields(one, other, names):
    different = [name for name in names if one.numbers(name) != other.numbers(name)]
    if different:
        name = different[0]
        values = f"{one.values(name)}, {other.values(name)}"
        sys.exit(f"{one.path} and {other.path} differ in {', '.join(different)}: {name} is {values}")


def same_place(one, other):
    same_fields(File(one), File(other), GEOMETRY)


def same(one, other):
    one, other = File(one), File(other)
    same_fields(one, other, [*GEOMETRY, "datatype", "bitpix", "scl_slope", "scl_inter"])
    if one.voxel_bytes() != other.voxel_bytes():
        sys.exit(f"{one.path} and {other.path} have different voxels")


def same_floats(path, voxels):
    file = File(path)
    if file.order != "<" or file.value("datatype") != FLOAT32 or file.value("scl_slope") not in (0, 1):
        sys.exit(f"{path}: voxels are not plain little-endian floats")
    if file.voxel_bytes() != pathlib.Path(voxels).read_bytes():
        sys.exit(f"{path} and {voxels} have different voxels")


def synthetic(path):
    file = File(path)
    for name in ["descrip", "intent_name"]:
        if not file.value(name).startswith(b"SYNTHETIC"):
            sys.exit(f"{path}: {name} is {file.value(name)}")


def recorded(path, scan):
    """An account of the record by other means than the program that wrote it."""
    file = File(path)
    size, code = struct.unpack_from("<ii", file.bytes, 352)
    assert file.bytes[348] == 1 and code == 6, f"{path} has no comment"
    record = json.loads(file.bytes[360 : 352 + size].rstrip(b"\0"))
    rows = [file.values("srow")[4 * row : 4 * row + 4] for row in range(3)]
    to_lps = [sign * entry for sign, row in zip((-1, -1, 1), rows) for entry in row] + [0, 0, 0, 1]
    found = {
        "Dims": list(file.values("dim")[1:4]),
        "VoxelType": {INT16: "int16", FLOAT32: "float32"}[file.value("datatype")],
        "VoxelsSHA256": hashlib.sha256(file.voxel_bytes()).hexdigest(),
    }
    for key, value in found.items():
        if record["Image"][key] != value:
            sys.exit(f"{path}: {key} is {value}, and its record says {record['Image'][key]}")
    apart = max(abs(one - other) for one, other in zip(record["Image"]["IndexToLPS"], to_lps))
    if apart > 1e-4:
        sys.exit(f"{path}: its affine is {apart} from that of its record")
    if record["InputSHA256"] != hashlib.sha256(pathlib.Path(scan).read_bytes()).hexdigest():
        sys.exit(f"{path}: its record names another scan than {scan}")


def nifti2(scan, order):
    """The whole file as NIfTI-2 with doubles for voxels, in either byte order and without qform."""
    header = bytearray(540)

    def put(offset, form, *values):
        struct.pack_into(order + form, header, offset, *values)

    put(0, "i", 540)
    header[4:12] = b"n+2\0\r\n\x1a\n"
    put(12, "2h", 64, 64)
    put(16, "8q", *scan.values("dim"))
    put(104, "8d", *scan.values("pixdim"))
    put(168, "q", 544)
    put(348, "i", scan.value("sform_code"))
    put(400, "12d", *scan.values("srow"))
    put(500, "i", scan.value("xyzt_units"))
    voxels = scan.doubles()
    if (order == ">") == (sys.byteorder == "little"):
        voxels.byteswap()
    return bytes(header) + bytes(4) + voxels.tobytes()


def pair(scan):
    """Header and voxels as two files, without sform, in micrometres."""
    header = bytearray(scan.bytes[:348])

    def put(name, *values):
        struct.pack_into("<" + NIFTI1[name][1], header, NIFTI1[name][0], *values)

    size = scan.values("pixdim")
    put("pixdim", size[0], *(1000 * entry for entry in size[1:4]), *size[4:])
    put("qoffset", *(1000 * entry for entry in scan.values("qoffset")))
    put("xyzt_units", 3)
    put("vox_offset", 0)
    put("sform_code", 0)
    put("srow", *[0] * 12)
    header[344:348] = b"ni1\0"
    return bytes(header), scan.voxel_bytes()


def variants(scan, folder):
    scan, folder = File(scan), pathlib.Path(folder)
    (folder / "nifti2.nii").write_bytes(nifti2(scan, ">"))
    header, voxels = pair(scan)
    (folder / "pair.hdr").write_bytes(header)
    (folder / "pair.img").write_bytes(voxels)
    # What must be refused: cut short, and with a voxel that is not a number.
    (folder / "truncated.nii").write_bytes(scan.bytes[:-1])
    whole = bytearray(nifti2(scan, "<"))
    struct.pack_into("<d", whole, 544, float("nan"))
    (folder / "nan.nii").write_bytes(whole)


COMMANDS = {
    "to-c": to_c,
    "same": same,
    "same-place": same_place,
    "same-floats": same_floats,
    "synthetic": synthetic,
    "recorded": recorded,
    "variants": variants,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
