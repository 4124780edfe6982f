//! The header: lines of text before the voxels.

use std::collections::BTreeMap;

use mrisynth::{Affine, Error, Grid, Limits, Result};

/// How voxels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoxelType {
    Int8,
    Uint8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Uint64,
    Float32,
    Float64,
}

impl VoxelType {
    /// From a name of the format, which has many for each.
    fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "signed char" | "int8" | "int8_t" => Self::Int8,
            "uchar" | "unsigned char" | "uint8" | "uint8_t" => Self::Uint8,
            "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => Self::Int16,
            "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => Self::Uint16,
            "int" | "signed int" | "int32" | "int32_t" => Self::Int32,
            "uint" | "unsigned int" | "uint32" | "uint32_t" => Self::Uint32,
            "longlong"
            | "long long"
            | "long long int"
            | "signed long long"
            | "signed long long int"
            | "int64"
            | "int64_t" => Self::Int64,
            "ulonglong" | "unsigned long long" | "unsigned long long int" | "uint64" | "uint64_t" => {
                Self::Uint64
            }
            "float" => Self::Float32,
            "double" => Self::Float64,
            _ => return Err(Error::Unsupported(format!("voxels of the type '{name}'"))),
        })
    }

    /// Bytes of a voxel.
    pub fn size(self) -> usize {
        match self {
            Self::Int8 | Self::Uint8 => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int32 | Self::Uint32 | Self::Float32 => 4,
            Self::Int64 | Self::Uint64 | Self::Float64 => 8,
        }
    }
}

/// How the bytes of the voxels lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Raw,
    Gzip,
}

/// What a header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    pub grid: Grid,
    pub voxel_type: VoxelType,
    pub is_big_endian: bool,
    pub encoding: Encoding,
    /// What the file says that it holds.
    pub content: String,
}

/// Fields that say nothing of where voxels lie or what they are worth.
const WITHOUT_EFFECT: [&str; 13] = [
    "block size",
    "blocksize",
    "number",
    "min",
    "max",
    "old min",
    "oldmin",
    "old max",
    "oldmax",
    "thicknesses",
    "labels",
    "sample units",
    "measurement frame",
];
/// All that is understood.
const UNDERSTOOD: [&str; 12] = [
    "type",
    "dimension",
    "sizes",
    "space",
    "space dimension",
    "space directions",
    "space origin",
    "space units",
    "kinds",
    "endian",
    "encoding",
    "content",
];

fn bad<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::BadImage(message.into()))
}

/// Checks the first line.
pub fn check_magic(line: &str) -> Result<()> {
    match line.strip_prefix("NRRD000") {
        Some("1" | "2" | "3" | "4" | "5") => Ok(()),
        Some(version) => Err(Error::Unsupported(format!("NRRD of the version '{version}'"))),
        None => bad("not an NRRD file"),
    }
}

impl Header {
    /// From the lines after the first, without the empty one at the end.
    ///
    /// # Errors
    /// [`Error::BadImage`] for what is wrong or missing, [`Error::Unsupported`] for what is right and not understood here,
    /// [`Error::OutOfMemory`] over a limit.
    pub fn parse<'a>(lines: impl Iterator<Item = &'a str>, limits: &Limits) -> Result<Self> {
        let fields = Fields::parse(lines)?;
        let voxel_type = VoxelType::parse(fields.required("type")?)?;
        if fields.required("dimension")? != "3" {
            let dimension = fields.required("dimension")?;
            return Err(Error::Unsupported(format!("{dimension} dimensions: one volume of scalars has 3")));
        }
        fields.check_kinds()?;
        let dims = check_dims(numbers(fields.required("sizes")?, "sizes")?, limits)?;
        let encoding = match fields.required("encoding")? {
            "raw" => Encoding::Raw,
            "gzip" | "gz" => Encoding::Gzip,
            other => return Err(Error::Unsupported(format!("the encoding '{other}'"))),
        };
        let is_big_endian = match (fields.get("endian"), voxel_type.size()) {
            (Some("little"), _) | (None, 1) => false,
            (Some("big"), _) => true,
            (Some(other), _) => return bad(format!("endian: '{other}'")),
            (None, _) => return bad("the field 'endian' is missing"),
        };
        let grid = Grid { dims, affine: fields.affine()? };
        let content = fields.get("content").unwrap_or_default().to_owned();
        Ok(Self { grid, voxel_type, is_big_endian, encoding, content })
    }

    /// Voxels in bytes, as they are when nothing compresses them.
    pub fn voxel_bytes(&self) -> u64 {
        (self.grid.len() * self.voxel_type.size()) as u64
    }
}

fn check_dims(dims: [u64; 3], limits: &Limits) -> Result<[usize; 3]> {
    if dims.contains(&0) {
        return bad(format!("sizes: {dims:?}"));
    }
    let voxels = dims.iter().try_fold(1_u64, |product, &size| product.checked_mul(size));
    if dims.iter().any(|&size| size > limits.max_axis)
        || voxels.is_none_or(|voxels| voxels > limits.max_voxels)
    {
        let Limits { max_axis, max_voxels, .. } = limits;
        let limit = format!("the limits are {max_axis} along an axis and {max_voxels} together");
        return Err(Error::OutOfMemory(format!("{dims:?} voxels: {limit}")));
    }
    // Within the limits.
    Ok(dims.map(|size| size as usize))
}

/// Three numbers with space between them.
fn numbers<T: std::str::FromStr>(text: &str, field: &str) -> Result<[T; 3]> {
    let parsed: std::result::Result<Vec<T>, T::Err> = text.split_whitespace().map(str::parse).collect();
    match parsed.ok().map(<[T; 3]>::try_from) {
        Some(Ok(numbers)) => Ok(numbers),
        _ => bad(format!("{field}: '{text}' is not three numbers")),
    }
}

/// Vectors as `(1,0,0)`, with space between them.
fn vectors(text: &str, field: &str) -> Result<Vec<[f64; 3]>> {
    let mut vectors = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((vector, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
            return bad(format!("{field}: '{text}' is not made of vectors"));
        };
        vectors.push(numbers(&vector.replace(',', " "), field)?);
        rest = after.trim_start();
    }
    Ok(vectors)
}

/// Fields by their names.
struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn parse(lines: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut fields = BTreeMap::new();
        for line in lines.filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.split_once(':') else {
                return bad(format!("'{line}' is no line of an NRRD header"));
            };
            if value.starts_with('=') {
                // A key and its value, of which the format knows nothing.
                continue;
            }
            let value = value.trim();
            match name {
                "data file" | "datafile" => {
                    return Err(Error::Unsupported("a header whose voxels are in another file".into()));
                }
                "line skip" | "lineskip" | "byte skip" | "byteskip" if value == "0" => {}
                name if WITHOUT_EFFECT.contains(&name) => {}
                name if UNDERSTOOD.contains(&name) => {
                    if fields.insert(name, value).is_some() {
                        return bad(format!("the field '{name}' is there twice"));
                    }
                }
                name => return Err(Error::Unsupported(format!("the field '{name}: {value}'"))),
            }
        }
        Ok(Self(fields))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    fn required(&self, name: &str) -> Result<&'a str> {
        self.get(name).map_or_else(|| bad(format!("the field '{name}' is missing")), Ok)
    }

    fn check_kinds(&self) -> Result<()> {
        let mut kinds = self.get("kinds").unwrap_or_default().split_whitespace();
        match kinds.find(|kind| !["domain", "space", "none", "???"].contains(kind)) {
            Some(kind) => Err(Error::Unsupported(format!(
                "an axis of the kind '{kind}': one volume of scalars has none"
            ))),
            None => Ok(()),
        }
    }

    /// From voxel index to RAS millimetres.
    fn affine(&self) -> Result<Affine> {
        if let Some(units) = self.get("space units")
            && units.split_whitespace().any(|unit| unit.trim_matches('"') != "mm")
        {
            return Err(Error::Unsupported(format!("space units: {units}")));
        }
        // What takes each axis of the space to RAS.
        let signs = match self.get("space") {
            Some("left-posterior-superior" | "LPS") => [-1.0, -1.0, 1.0],
            Some("right-anterior-superior" | "RAS") => [1.0; 3],
            Some("left-anterior-superior" | "LAS") => [-1.0, 1.0, 1.0],
            Some(other) => return Err(Error::Unsupported(format!("the space '{other}'"))),
            None => return bad("the field 'space' is missing: where the voxels lie is unknown"),
        };
        let directions = vectors(self.required("space directions")?, "space directions")?;
        let origin = vectors(self.required("space origin")?, "space origin")?;
        let ([i, j, k], [origin]) = (directions.as_slice(), origin.as_slice()) else {
            return bad("space directions and space origin must be three vectors and one");
        };
        let mut rows = [[0.0, 0.0, 0.0, 1.0]; 4];
        for (row, sign) in signs.into_iter().enumerate() {
            // Not `-0.0`.
            rows[row] = [i, j, k, origin].map(|column| 0.0 + sign * column[row]);
        }
        Affine::from_rows(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICERS: &str = "\
# Complete NRRD file format specification at:
# http://teem.sourceforge.net/nrrd/format.html
type: float
dimension: 3
space: left-posterior-superior
sizes: 74 96 81
space directions: (-2,0,0) (0,-2,0) (0,0,2)
kinds: domain domain domain
endian: little
encoding: raw
space origin: (73.5,111.5,-77.5)
key:=value";

    fn parse(text: &str) -> Result<Header> {
        Header::parse(text.lines(), &Limits::default())
    }

    /// Slicer's header with one field replaced.
    fn with(field: &str, line: &str) -> Result<Header> {
        let prefix = format!("{field}:");
        let kept = SLICERS.lines().filter(|kept| !kept.starts_with(&prefix));
        Header::parse(kept.chain((!line.is_empty()).then_some(line)), &Limits::default())
    }

    #[test]
    fn slicers_header_is_read() {
        let header = parse(SLICERS).unwrap();
        let affine = Affine::from_sizes([2.0; 3], [-73.5, -111.5, -77.5]).unwrap();
        assert_eq!(header.grid, Grid { dims: [74, 96, 81], affine });
        assert_eq!((header.voxel_type, header.encoding), (VoxelType::Float32, Encoding::Raw));
        assert!(!header.is_big_endian);
        assert_eq!(header.voxel_bytes(), 4 * 74 * 96 * 81);
    }

    #[test]
    fn spaces_are_brought_to_ras() {
        let in_ras = "space directions: (0,2,0) (3,0,0) (0,0,-4)";
        for (space, first) in [
            ("RAS", [0.0, 3.0, 0.0, 73.5]),
            ("LAS", [0.0, -3.0, 0.0, -73.5]),
            ("LPS", [0.0, -3.0, 0.0, -73.5]),
        ] {
            let text = SLICERS.replace("left-posterior-superior", space);
            let text = text.replace("space directions: (-2,0,0) (0,-2,0) (0,0,2)", in_ras);
            let rows = parse(&text).unwrap().grid.affine.rows();
            assert_eq!(rows[0], first, "{space}");
            assert_eq!(rows[1][0], if space == "LPS" { -2.0 } else { 2.0 });
            assert_eq!(rows[2], [0.0, 0.0, -4.0, -77.5]);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_name() {
        for (field, line, part) in [
            ("type", "type: block", "'block'"),
            ("type", "", "'type' is missing"),
            ("dimension", "dimension: 4", "4 dimensions"),
            ("sizes", "sizes: 74 96", "not three numbers"),
            ("sizes", "sizes: 74 96 -1", "not three numbers"),
            ("sizes", "sizes: 0 96 81", "sizes"),
            ("sizes", "sizes: 99999 1 1", "limits"),
            ("sizes", "sizes: 18446744073709551615 18446744073709551615 3", "limits"),
            ("space", "space: scanner-xyz", "scanner-xyz"),
            ("space", "", "where the voxels lie is unknown"),
            ("space directions", "space directions: none (0,-2,0) (0,0,2)", "vectors"),
            ("space directions", "space directions: (0,-2,0) (0,0,2)", "three vectors"),
            ("space directions", "space directions: (1,0,0) (2,0,0) (0,0,2)", "singular"),
            ("space origin", "space origin: (nan,0,0)", "finite"),
            ("kinds", "kinds: vector domain domain", "'vector'"),
            ("endian", "", "'endian' is missing"),
            ("endian", "endian: middle", "middle"),
            ("encoding", "encoding: bzip2", "bzip2"),
            ("key", "space units: \"mm\" \"mm\" \"m\"", "space units"),
            ("key", "data file: other.raw", "another file"),
            ("key", "byte skip: -1", "byte skip"),
            ("key", "axis mins: 0 0 0", "axis mins"),
            ("key", "encoding: raw", "twice"),
            ("key", "nonsense", "nonsense"),
        ] {
            let fault = with(field, line).unwrap_err().to_string();
            assert!(fault.contains(part), "{line}: {fault}");
        }
    }

    #[test]
    fn harmless_fields_are_passed_over() {
        for line in
            ["space units: \"mm\" \"mm\" \"mm\"", "byte skip: 0", "thicknesses: nan nan 3", "# remark"]
        {
            assert!(with("key", line).is_ok(), "{line}");
        }
        assert!(check_magic("NRRD0005").is_ok());
        assert!(check_magic("NRRD0006").is_err() && check_magic("PNG").is_err());
    }
}
