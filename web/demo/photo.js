/**
 * Makes a photo small enough to be worth its time on a bad network: at most 1600 pixels on the long side, as JPEG. Drawing it
 * anew also drops the position and camera data a phone writes into its files.
 */

export const kMaxEdgePx = 1_600;
export const kMaxPhotoBytes = 900_000;
const kQualities = [0.8, 0.6, 0.4];

/**
 * Rejects with a sentence for people when the file is no picture this browser can read.
 * @param {Blob} file
 * @returns {Promise<Blob>}
 */
export async function shrinkPhoto(file) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error('This file is not a picture this browser can read. JPEG, PNG and WebP work everywhere.');
  });
  const scale = Math.min(1, kMaxEdgePx / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  for (const quality of kQualities) {
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', quality));
    if (blob && blob.size <= kMaxPhotoBytes) return blob;
  }
  throw new Error(`This picture stays above ${kMaxPhotoBytes / 1_000} kB even when made smaller.`);
}
