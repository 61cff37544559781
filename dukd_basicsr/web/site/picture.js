// A file of the visitor's as pixels, or a sentence that says why not.
import { isGrey } from './pixels.js';
import { Problem } from './problem.js';

const MEBIBYTE = 2 ** 20;
const LARGEST_FILE = 64 * MEBIBYTE;
const LARGEST_SIDE = 16384; // of a canvas in today's browsers

// Pixels of a result. Each takes about 24 bytes here, in the picture, bicubic's and what shows them; telephones have
// less memory, and iOS no larger canvas.
export const largestResult = () => (window.matchMedia('(pointer: coarse)').matches ? 16.7e6 : 40e6);

// {name, width, height, rgba, grey, notes}: turned as its EXIF tag says, colours as sRGB, 8 bits, on white where it
// was transparent.
export async function readPicture(file, scale) {
  if (file.size > LARGEST_FILE) {
    throw new Problem(`${file.name} has ${Math.round(file.size / MEBIBYTE)} MiB; at most ${LARGEST_FILE / MEBIBYTE} are read.`);
  }
  const image = await decode(file);
  refuseLarge(file.name, image.naturalWidth, image.naturalHeight, scale);
  const { naturalWidth: width, naturalHeight: height } = image;
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  URL.revokeObjectURL(image.src);
  const notes = [];
  if (isTransparent(context.getImageData(0, 0, width, height).data)) {
    context.globalCompositeOperation = 'destination-over';
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    notes.push('It was put on white, since it has transparent parts.');
  }
  const rgba = context.getImageData(0, 0, width, height).data;
  return { name: file.name, width, height, rgba, grey: isGrey(rgba), notes };
}

async function decode(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(image.src);
    throw new Problem(`${file.name} is no picture that this browser can read; PNG, JPEG, WebP and GIF are.`);
  }
  if (!image.naturalWidth || !image.naturalHeight) throw new Problem(`${file.name} does not say its size in pixels.`);
  return image;
}

function refuseLarge(name, width, height, scale) {
  const [columns, rows] = [scale * width, scale * height], most = largestResult();
  if (columns * rows <= most && Math.max(columns, rows) <= LARGEST_SIDE) return;
  const millions = (number) => (number / 1e6).toFixed(1);
  throw new Problem(
    `${name} is too large for a browser: its ${width}x${height} pixels would become ${columns}x${rows}, ` +
    `${millions(columns * rows)} million; at most ${millions(most)} million and ${LARGEST_SIDE} on a side are made. ` +
    'Cut a part out of it, or use basicsr upscale.');
}

function isTransparent(rgba) {
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] < 255) return true;
  return false;
}
