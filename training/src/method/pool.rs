//! The pool of earlier synthetic images that a discriminator is shown, so that it does not forget them.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand::RngExt;
use rand_pcg::Pcg64;

/// Up to so many earlier images (Shrivastava et al. 2017, section 2.3; Zhu et al. 2017, section 4).
pub struct ImagePool<B: Backend> {
    images: Vec<Tensor<B, 4>>,
    size: usize,
    seed: u64,
}

impl<B: Backend> ImagePool<B> {
    /// An empty pool for `size` images; 0 hands images straight through.
    pub fn new(size: usize, seed: u64) -> Self {
        Self { images: Vec::new(), size, seed }
    }

    /// Takes the images `[n, c, h, w]` of a step and returns as many: while the pool fills up, the same; after that each is,
    /// with even chances, itself or an earlier one, whose place it takes. The draws depend on seed and step alone.
    pub fn exchange(&mut self, step: u64, images: Tensor<B, 4>) -> Tensor<B, 4> {
        if self.size == 0 {
            return images;
        }
        let mut random = Pcg64::new(u128::from(self.seed), u128::from(step));
        let shown =
            images.split(1, 0).into_iter().map(|image| self.exchange_one(image, &mut random)).collect();
        Tensor::cat(shown, 0)
    }

    fn exchange_one(&mut self, image: Tensor<B, 4>, random: &mut Pcg64) -> Tensor<B, 4> {
        if self.images.len() < self.size {
            self.images.push(image.clone());
            return image;
        }
        if random.random_bool(0.5) {
            return image;
        }
        let place = random.random_range(0..self.images.len());
        std::mem::replace(&mut self.images[place], image)
    }

    /// All images as bytes, for a checkpoint.
    pub fn to_bytes(&self) -> Vec<u8> {
        let values = self.images.iter().flat_map(|image| {
            let values: Vec<f32> = image.to_data().iter::<f32>().collect();
            values.into_iter().flat_map(f32::to_le_bytes)
        });
        values.collect()
    }

    /// Takes up the images of a checkpoint, each `[1, 1, edge, edge]`.
    ///
    /// # Errors
    /// The fault, if the bytes are no such images or too many.
    pub fn restore(&mut self, bytes: &[u8], edge: usize, device: &B::Device) -> Result<(), String> {
        let length = 4 * edge * edge;
        if !bytes.len().is_multiple_of(length) || bytes.len() / length > self.size {
            return Err(format!(
                "{} bytes are no pool of up to {} images of {edge} x {edge}",
                bytes.len(),
                self.size
            ));
        }
        self.images = bytes
            .chunks(length)
            .map(|image| {
                let values: Vec<f32> =
                    image.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
                Tensor::from_data(TensorData::new(values, [1, 1, edge, edge]), device)
            })
            .collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;

    fn image(value: f32) -> Tensor<Flex, 4> {
        Tensor::full([1, 1, 2, 2], value, &Default::default())
    }

    fn shown(pool: &mut ImagePool<Flex>, steps: std::ops::Range<u64>) -> Vec<f32> {
        steps.map(|step| pool.exchange(step, image(step as f32)).mean().into_scalar()).collect()
    }

    #[test]
    fn a_filling_pool_hands_images_through_and_a_full_one_mixes_them() {
        let mut pool = ImagePool::new(5, 7);
        assert_eq!(shown(&mut pool, 0..5), [0.0, 1.0, 2.0, 3.0, 4.0]);
        let later = shown(&mut pool, 5..405);
        let itself = later.iter().enumerate().filter(|(n, value)| **value == (*n + 5) as f32).count();
        assert!((160..240).contains(&itself), "{itself}");
        assert!(later.iter().enumerate().all(|(n, value)| *value <= (n + 5) as f32));
        // No image is shown twice out of the pool, for it leaves it.
        let mut old: Vec<i64> = later.iter().map(|value| *value as i64).collect();
        old.sort_unstable();
        old.dedup();
        assert_eq!(old.len(), later.len());
        assert_eq!(shown(&mut ImagePool::new(0, 7), 0..9), (0..9).map(|n| n as f32).collect::<Vec<_>>());
    }

    #[test]
    fn a_restored_pool_goes_on_as_the_straight_one() {
        let mut straight = ImagePool::new(4, 1);
        shown(&mut straight, 0..20);
        let mut restored = ImagePool::new(4, 1);
        restored.restore(&straight.to_bytes(), 2, &Default::default()).unwrap();
        assert_eq!(shown(&mut straight, 20..60), shown(&mut restored, 20..60));
        assert!(restored.restore(&[0; 12], 2, &Default::default()).is_err());
        assert!(restored.restore(&[0; 5 * 16], 2, &Default::default()).is_err());
    }
}
