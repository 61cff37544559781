// Runs the network beside the page, which stays free to draw and to cancel. Each message is answered by one with its
// `id`, and with what it asked for or an `error` in words.
import * as ort from './ort/ort.wasm.bundle.min.mjs';
import { composeTile, cut, enlargeTileBicubic, findMostDifferent, toPlanes } from './pixels.js';

class WrongAnswer extends Error {} // of the network: smaller tiles would not help

const LENS = 64; // side, in pixels, of the part that the slider magnifies first
let session = null, settings = null;

async function open(message) {
  settings = message.settings;
  ort.env.logLevel = 'error';
  ort.env.wasm.wasmPaths = { wasm: new URL('./ort/ort-wasm-simd-threaded.wasm', import.meta.url).href };
  // Threads share memory, which a browser allows only where the server sends the headers for it.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 8) : 1;
  const network = new URL(settings.file, import.meta.url).href;
  session = await ort.InferenceSession.create(network, { executionProviders: ['wasm'] });
  return {};
}

async function enlarge({ rgba, width, height, core, grey }) {
  const { scale, channels } = settings;
  const input = new ort.Tensor('float32', toPlanes(rgba, channels), [1, channels, height, width]);
  const output = (await session.run({ [session.inputNames[0]]: input }))[session.outputNames[0]];
  const [, planes, rows, columns] = output.dims;
  if (planes !== channels || rows !== scale * height || columns !== scale * width) {
    throw new WrongAnswer(`the network made ${output.dims} of ${[1, channels, height, width]}`);
  }
  const data = await output.getData();
  const answers = [];
  for (let c = 0; c < channels; c++) {
    const plane = data.subarray(c * rows * columns, (c + 1) * rows * columns);
    answers.push(cut(plane, columns, scale * core.left, scale * core.top, scale * core.width, scale * core.height));
  }
  if (!answers.every((plane) => plane.every(Number.isFinite))) {
    throw new WrongAnswer('the network answered with values that are no numbers');
  }
  const result = composeTile(answers, rgba, width, height, scale, core, grey);
  const bicubic = enlargeTileBicubic(rgba, width, height, scale, core);
  return { result, bicubic, lens: findMostDifferent(result, bicubic, scale * core.width, scale * core.height, LENS) };
}

self.onmessage = async ({ data }) => {
  try {
    const answer = await (data.kind === 'open' ? open(data) : enlarge(data));
    const buffers = Object.values(answer).map((value) => value.buffer).filter(Boolean);
    self.postMessage({ id: data.id, ...answer }, buffers);
  } catch (error) {
    const words = String(error && error.message || error).split('\n')[0];
    self.postMessage({ id: data.id, error: words, final: error instanceof WrongAnswer });
  }
};
