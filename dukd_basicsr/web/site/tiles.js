// A picture in tiles, each with so much of its neighbourhood that the result is that of the whole picture.

// Parts {left, top, width, height} of a picture, and inside each its core: what of its result is kept. The cores
// cover the picture once. Corners are multiples of `tile`, so that windows lie as in the whole picture.
export function planTiles(width, height, tile, overlap) {
  const tiles = [];
  for (let top = 0; top < height; top += tile) {
    for (let left = 0; left < width; left += tile) {
      const above = Math.min(overlap, top), before = Math.min(overlap, left);
      const right = Math.min(left + tile + overlap, width), bottom = Math.min(top + tile + overlap, height);
      tiles.push({
        left: left - before, top: top - above, width: right - left + before, height: bottom - top + above,
        core: { left: before, top: above, width: Math.min(tile, width - left), height: Math.min(tile, height - top) },
      });
    }
  }
  return tiles;
}

// RGBA bytes of a part of a picture.
export function cutTile({ rgba, width }, tile) {
  const part = new Uint8ClampedArray(4 * tile.width * tile.height);
  for (let y = 0; y < tile.height; y++) {
    const start = 4 * ((tile.top + y) * width + tile.left);
    part.set(rgba.subarray(start, start + 4 * tile.width), 4 * y * tile.width);
  }
  return part;
}
