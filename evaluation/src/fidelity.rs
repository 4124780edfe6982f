//! How near a synthetic image is to the real one: PSNR, SSIM, MAE and sharpness, on whole slices and inside the brain.
