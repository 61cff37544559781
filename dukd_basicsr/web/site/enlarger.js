// A picture through the network, tile by tile, in a worker.
import { Problem } from './problem.js';
import { cutTile, planTiles } from './tiles.js';

const PATIENCE = 300; // seconds for one tile, and for loading
const LEAST = 32; // side of the smallest tile

export class Enlarger {
  #worker = null;
  #opened = null;
  #waiting = null; // {id, resolve, reject} of the one message that is on its way
  #count = 0;
  #tile;

  // settings: the content of network.json.
  constructor(settings) {
    this.settings = settings;
    this.#tile = settings.tile;
  }

  // Loads the runtime and the network, once.
  open() {
    this.#opened ??= this.#start();
    return this.#opened;
  }

  async #start() {
    if (typeof WebAssembly !== 'object') throw new Problem('This browser has no WebAssembly, which runs the network.');
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    this.#worker.onmessage = ({ data }) => this.#settle(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#settle({ id: this.#waiting?.id, error: event.message || 'a file of the page is missing' });
    };
    try {
      await this.#ask({ kind: 'open', settings: this.settings });
    } catch (error) {
      this.stop();
      if (error instanceof Problem || error.name === 'AbortError') throw error;
      throw new Problem(`The network cannot be started here (${error.message}).`);
    }
  }

  #settle({ id, error, final, ...answer }) {
    if (!this.#waiting || this.#waiting.id !== id) return;
    const { resolve, reject } = this.#waiting;
    this.#waiting = null;
    if (error === undefined) resolve(answer);
    else reject(Object.assign(new Error(error), { final }));
  }

  #ask(message, transfer = []) {
    const id = ++this.#count;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting = null;
        this.stop();
        reject(new Problem(`It took more than ${PATIENCE / 60} minutes without an answer, and was stopped.`));
      }, 1000 * PATIENCE);
      const end = (settle) => (value) => { clearTimeout(timer); settle(value); };
      this.#waiting = { id, resolve: end(resolve), reject: end(reject) };
      this.#worker.postMessage({ id, ...message }, transfer);
    });
  }

  // Whether the worker has something to do.
  get busy() {
    return this.#waiting !== null;
  }

  // Ends the worker, whatever it does; the next picture starts another.
  stop() {
    this.#worker?.terminate();
    this.#worker = this.#opened = null;
    this.#waiting?.reject(new DOMException('stopped', 'AbortError'));
    this.#waiting = null;
  }

  // Two canvases, {result, bicubic}, and `lens`, the corner of a part where they differ most. onProgress is called with the tiles done and all of them.
  async enlarge(picture, onProgress) {
    for (;;) {
      try {
        await this.open();
        return await this.#enlargeInTiles(picture, onProgress);
      } catch (error) {
        if (error instanceof Problem || error.name === 'AbortError') throw error;
        this.stop(); // a worker that ran out of memory does not get it back
        const { align } = this.settings, smaller = Math.ceil(this.#tile / 2 / align) * align;
        if (error.final || this.#tile <= LEAST || smaller >= this.#tile) {
          throw new Problem(`The network cannot be run on this picture here (${error.message}).`);
        }
        this.#tile = smaller;
      }
    }
  }

  async #enlargeInTiles(picture, onProgress) {
    const { scale, overlap } = this.settings;
    const canvases = { result: makeCanvas(picture, scale), bicubic: makeCanvas(picture, scale) };
    let most = { sum: -1 };
    const tiles = planTiles(picture.width, picture.height, this.#tile, overlap);
    onProgress(0, tiles.length);
    for (const [number, tile] of tiles.entries()) {
      const rgba = cutTile(picture, tile);
      const { width, height, core } = tile;
      const answer = await this.#ask({ kind: 'tile', rgba, width, height, core, grey: picture.grey }, [rgba.buffer]);
      const left = scale * (tile.left + core.left), top = scale * (tile.top + core.top);
      for (const [name, canvas] of Object.entries(canvases)) {
        const image = new ImageData(answer[name], scale * core.width, scale * core.height);
        canvas.getContext('2d').putImageData(image, left, top);
      }
      const { lens } = answer;
      if (lens.sum > most.sum) most = { left: left + lens.left, top: top + lens.top, sum: lens.sum };
      onProgress(number + 1, tiles.length);
    }
    return { ...canvases, lens: most };
  }
}

function makeCanvas({ width, height }, scale) {
  const canvas = Object.assign(document.createElement('canvas'), { width: scale * width, height: scale * height });
  if (!canvas.getContext('2d', { willReadFrequently: true })) {
    throw new Problem(`This browser has no room for ${canvas.width}x${canvas.height} pixels; cut the picture first.`);
  }
  return canvas;
}
