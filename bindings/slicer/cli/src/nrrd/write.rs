//! Writing: floats, uncompressed, in LPS, as Slicer itself hands volumes over.

use std::io::{self, Write};
use std::path::Path;

use mrisynth::{Result, Volume, whole_file};

/// The key under which the record of an image's origin is kept.
const RECORD_KEY: &str = "mrisynth";
/// Voxels that are encoded at a time.
const CHUNK_VOXELS: usize = 1 << 14;

/// Writes `volume` as an NRRD file that says that it holds `content`, with the `record` of where it comes from. The file is
/// written beside its place and then renamed, so that `path` is never a partial file.
///
/// # Errors
/// [`mrisynth::Error::Io`], naming the file.
pub fn write(path: &Path, volume: &Volume, content: &str, record: &str) -> Result<()> {
    let header = header(volume, content, record);
    whole_file::write(path, true, |out| {
        out.write_all(header.as_bytes())?;
        write_voxels(out, volume)
    })
}

fn header(volume: &Volume, content: &str, record: &str) -> String {
    let [ni, nj, nk] = volume.dims();
    let rows = volume.affine().to_lps();
    // A number's shortest text that is read as the same number.
    let column = |column: usize| format!("({},{},{})", rows[0][column], rows[1][column], rows[2][column]);
    let [i, j, k, origin] = [0, 1, 2, 3].map(column);
    // By the format's rule for values, which end with their line.
    let record = record.replace('\\', "\\\\").replace('\n', "\\n");
    let content = content.replace('\n', " ");
    format!(
        "NRRD0004\ncontent: {content}\ntype: float\ndimension: 3\nspace: left-posterior-superior\n\
         sizes: {ni} {nj} {nk}\nspace directions: {i} {j} {k}\nkinds: domain domain domain\nendian: little\n\
         encoding: raw\nspace origin: {origin}\n{RECORD_KEY}:={record}\n\n"
    )
}

fn write_voxels(out: &mut dyn Write, volume: &Volume) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(CHUNK_VOXELS * size_of::<f32>());
    for chunk in volume.as_slice().chunks(CHUNK_VOXELS) {
        bytes.clear();
        chunk.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        out.write_all(&bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mrisynth::{Affine, Limits};
    use ndarray::{Array3, ShapeBuilder};

    use super::super::read;
    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.nrrd");
        let affine = Affine::from_rows([
            [0.1, -0.9 / 7.0, 1e-17, 1.0 / 3.0],
            [0.3, 1.1, -0.2, 1e9 / 7.0],
            [0.0, 0.2, 2.0_f64.sqrt(), -72.0],
            [0.0, 0.0, 0.0, 1.0],
        ]);
        let values = (0..60).map(|value| value as f32 / 7.0 - 2.0).collect();
        let voxels = Array3::from_shape_vec((3, 4, 5).f(), values).unwrap();
        let volume = Volume::new(voxels, affine.unwrap()).unwrap();
        write(&path, &volume, "SYNTHETIC T1w", "{\"a\": \"\\n\"}\n").unwrap();
        let image = read(&path, &Limits::default()).unwrap();
        assert_eq!(image.volume, volume);
        assert_eq!(image.content, "SYNTHETIC T1w");
        let text = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("\nmrisynth:={\"a\": \"\\\\n\"}\\n\n\n"), "{text}");
    }
}
