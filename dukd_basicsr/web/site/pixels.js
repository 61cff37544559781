// What stands before and after the network, as `basicsr upscale` has it: RGB from 0 to 1, clamped, rounded to the
// nearest (a half to the even one, which is what Uint8ClampedArray does). Pure functions of arrays.

const luma = (r, g, b) => (65.481 * r + 128.553 * g + 24.966 * b + 16 * 255) / 255 / 255;
const blue = (r, g, b) => (-37.797 * r - 74.203 * g + 112 * b) / 255 / 255;
const red = (r, g, b) => (112 * r - 93.786 * g - 18.214 * b) / 255 / 255;

// One of R, G, B as numbers from 0 to 1.
function takeChannel(rgba, channel) {
  const plane = new Float32Array(rgba.length / 4);
  for (let i = 0; i < plane.length; i++) plane[i] = rgba[4 * i + channel] / 255;
  return plane;
}

// What a function of r, g, b makes of every pixel.
function makePlane(rgba, of) {
  const plane = new Float32Array(rgba.length / 4);
  for (let i = 0; i < plane.length; i++) plane[i] = of(rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2]);
  return plane;
}

// Whether every pixel is grey.
export function isGrey(rgba) {
  for (let i = 0; i < rgba.length; i += 4) if (rgba[i] !== rgba[i + 1] || rgba[i] !== rgba[i + 2]) return false;
  return true;
}

// The network's input, plane after plane: three of R, G, B, or one of Y of ITU-R BT.601, from 16 / 255 to 235 / 255.
export function toPlanes(rgba, channels) {
  if (channels === 1) return makePlane(rgba, luma);
  const size = rgba.length / 4, planes = new Float32Array(3 * size);
  for (let c = 0; c < 3; c++) planes.set(takeChannel(rgba, c), c * size);
  return planes;
}

// A part of a plane, `core` = {left, top, width, height} in its pixels, enlarged by MATLAB's bicubic: a = -0.5, the
// border mirrored with its edge repeated.
export function enlargeBicubic(plane, width, height, scale, core) {
  const across = makeTaps(core.left, core.width, width, scale), down = makeTaps(core.top, core.height, height, scale);
  const rows = new Map(); // a row of the plane, enlarged across, once it is needed
  const row = (y) => {
    if (!rows.has(y)) {
      const line = new Float64Array(scale * core.width);
      for (let x = 0; x < line.length; x++) {
        const { at, by } = across[x];
        for (let tap = 0; tap < 4; tap++) line[x] += by[tap] * plane[y * width + at[tap]];
      }
      rows.set(y, line);
    }
    return rows.get(y);
  };
  const result = new Float32Array(scale * core.width * scale * core.height);
  down.forEach(({ at, by }, y) => {
    const lines = at.map(row);
    const start = y * scale * core.width;
    for (let x = 0; x < scale * core.width; x++) {
      result[start + x] = by[0] * lines[0][x] + by[1] * lines[1][x] + by[2] * lines[2][x] + by[3] * lines[3][x];
    }
  });
  return result;
}

// For each enlarged pixel: the four that it is made of, and their weights.
function makeTaps(start, length, size, scale) {
  const taps = [];
  for (let i = 0; i < scale * length; i++) {
    const centre = start + (i + 0.5) / scale - 0.5, first = Math.floor(centre) - 1;
    const at = [0, 1, 2, 3].map((tap) => mirror(first + tap, size));
    taps.push({ at, by: [0, 1, 2, 3].map((tap) => cubic(Math.abs(centre - first - tap))) });
  }
  return taps;
}

function mirror(index, size) {
  const turned = ((index % (2 * size)) + 2 * size) % (2 * size);
  return Math.min(turned, 2 * size - 1 - turned);
}

function cubic(x) {
  if (x <= 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

// A part of a plane.
export function cut(plane, width, left, top, columns, rows) {
  const part = new Float32Array(columns * rows);
  for (let y = 0; y < rows; y++) {
    const start = (top + y) * width + left;
    part.set(plane.subarray(start, start + columns), y * columns);
  }
  return part;
}

// Planes from 0 to 1, three, or one for grey, to RGBA bytes.
export function toBytes(planes) {
  const [r, g, b] = planes.length === 3 ? planes : [planes[0], planes[0], planes[0]];
  const rgba = new Uint8ClampedArray(4 * r.length);
  for (let i = 0; i < r.length; i++) {
    rgba[4 * i] = 255 * r[i];
    rgba[4 * i + 1] = 255 * g[i];
    rgba[4 * i + 2] = 255 * b[i];
    rgba[4 * i + 3] = 255;
  }
  return rgba;
}

// The colours of a tile as bicubic enlarges them: what the network is compared with.
export function enlargeTileBicubic(rgba, width, height, scale, core) {
  return toBytes([0, 1, 2].map((c) => enlargeBicubic(takeChannel(rgba, c), width, height, scale, core)));
}

// The colours of a tile by what a network made of it: `answers` are its planes, cut to the core. A network of colours
// gives the mean of its three planes for a grey picture. Of one that knows Y alone, Cb and Cr are bicubic's.
export function composeTile(answers, rgba, width, height, scale, core, grey) {
  if (answers.length === 3) return toBytes(grey ? [average(answers)] : answers);
  const y = answers[0].map((value) => (value * 255 - 16) / 219);
  if (grey) return toBytes([y]);
  const cb = enlargeBicubic(makePlane(rgba, blue), width, height, scale, core);
  const cr = enlargeBicubic(makePlane(rgba, red), width, height, scale, core);
  const toRed = 255 / 112 * 0.701, toBlue = 255 / 112 * 0.886;
  const r = y.map((value, i) => value + toRed * cr[i]);
  const b = y.map((value, i) => value + toBlue * cb[i]);
  const g = y.map((value, i) => value - (toBlue * 0.114 * cb[i] + toRed * 0.299 * cr[i]) / 0.587);
  return toBytes([r, g, b]);
}

function average(planes) {
  return planes[0].map((value, i) => (value + planes[1][i] + planes[2][i]) / 3);
}

// Where two pictures of RGBA bytes differ most, among squares side by side: {left, top, sum}, the sum of the
// differences in one of them. Cut squares at the right and the bottom count only where there are no others.
export function findMostDifferent(one, other, width, height, side) {
  const [columns, rows] = [width, height].map((length) => Math.max(Math.floor(length / side), 1));
  let most = { left: 0, top: 0, sum: -1 };
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const left = column * side, top = row * side;
      let sum = 0;
      for (let y = top; y < Math.min(top + side, height); y++) {
        for (let i = 4 * (y * width + left); i < 4 * (y * width + Math.min(left + side, width)); i++) {
          sum += Math.abs(one[i] - other[i]);
        }
      }
      if (sum > most.sum) most = { left, top, sum };
    }
  }
  return most;
}
