// The page: a picture is chosen, dropped or pasted; progress; the result under a slider.
import { Enlarger } from './enlarger.js';
import { readPicture } from './picture.js';
import { Problem } from './problem.js';

const $ = (id) => document.getElementById(id);
let settings = null, enlarger = null;
let run = 0; // number of the picture that is worked on: what belongs to an earlier one is dropped
let addresses = []; // of blobs that the page shows

function show({ working = false, done = false, problem = '' }) {
  $('work').hidden = !working;
  $('done').hidden = !done;
  $('problem').hidden = !problem;
  $('problem').textContent = problem;
}

function explain(error) {
  return error instanceof Problem ? error.message : `Something went wrong (${error.message || error}).`;
}

// "12 of 40 tiles, about 8 s left"
function follow(started) {
  return (done, all) => {
    $('bar').max = all;
    $('bar').value = done;
    const left = (performance.now() - started) / 1000 / done * (all - done);
    const rest = left >= 90 ? `${Math.round(left / 60)} min` : `${Math.ceil(left)} s`;
    $('status').textContent = `${done} of ${all} tiles${done > 0 && done < all ? `, about ${rest} left` : ''}`;
  };
}

async function enlarge(file) {
  const mine = ++run;
  if (enlarger.busy) enlarger.stop();
  forget();
  show({ working: true });
  $('bar').removeAttribute('value');
  $('status').textContent = 'Loading the network';
  try {
    const picture = await readPicture(file, settings.scale);
    await enlarger.open();
    if (mine !== run) return;
    const started = performance.now();
    const enlarged = await enlarger.enlarge(picture, follow(started));
    const seconds = (performance.now() - started) / 1000;
    $('status').textContent = 'Writing the PNG';
    const blobs = { bicubic: await toPng(enlarged.bicubic), result: await toPng(enlarged.result) };
    if (mine === run) await present(picture, blobs, enlarged.lens, seconds);
  } catch (error) {
    if (mine === run) show({ problem: error.name === 'AbortError' ? '' : explain(error) });
  }
}

function toPng(canvas) {
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob
    ? resolve(blob)
    : reject(new Problem('This browser has no memory left to write the PNG; cut the picture first.'))), 'image/png'));
}

async function present(picture, { bicubic, result }, lens, seconds) {
  const { scale, network } = settings;
  const [width, height] = [scale * picture.width, scale * picture.height];
  const section = document.createElement('section');
  const figures = Object.assign(document.createElement('div'), { className: 'figures' });
  section.className = 'compare';
  section.dataset.crop = `${lens.left},${lens.top}`;
  [[bicubic, 'bicubic'], [result, network]].forEach(([blob, caption]) => {
    const image = Object.assign(document.createElement('img'), { src: hold(blob), alt: caption, width, height });
    const figure = document.createElement('figure');
    figure.append(image, Object.assign(document.createElement('figcaption'), { textContent: caption }));
    figures.append(figure);
  });
  section.append(figures);
  $('comparison').replaceChildren(section);
  $('download').href = figures.lastChild.firstChild.src;
  $('download').download = `${picture.name.replace(/\.[^.]*$/, '')}_x${scale}.png`;
  $('summary').textContent = `${picture.width}x${picture.height} to ${width}x${height} in ${seconds.toFixed(1)} s`;
  $('notes').textContent = picture.notes.join(' ');
  show({ done: true });
  await window.makeSlider(section);
  $('download').focus({ preventScroll: true });
}

function hold(blob) {
  addresses.push(URL.createObjectURL(blob));
  return addresses.at(-1);
}

function forget() {
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [];
  $('comparison').replaceChildren();
}

function cancel() {
  run++;
  if (enlarger.busy) enlarger.stop();
  show({});
  $('choose').focus();
}

// The first file of a drop or a paste; a sentence where there is none.
function take(files) {
  if (files.length > 0) enlarge(files[0]);
  else show({ problem: 'There is no picture in what was dropped or pasted; take a file, or copy a picture.' });
}

function listen() {
  $('choose').addEventListener('click', () => $('file').click());
  $('file').addEventListener('change', () => {
    if ($('file').files.length > 0) enlarge($('file').files[0]);
    $('file').value = ''; // the same file once more is a change too
  });
  $('cancel').addEventListener('click', cancel);
  document.addEventListener('dragover', (event) => { event.preventDefault(); $('drop').classList.add('over'); });
  document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) $('drop').classList.remove('over'); });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    $('drop').classList.remove('over');
    take(event.dataTransfer.files);
  });
  document.addEventListener('paste', (event) => take(event.clipboardData.files));
}

function introduce() {
  const { network, scale, exact, precision, made } = settings;
  document.title = $('title').textContent = `Enlarge a picture ${scale} times`;
  const seams = exact ? '' : ' It may see further than a tile shows, so results differ a little from those of the whole picture.';
  $('about').textContent = `${network}, ${precision}, runs in this browser.${seams}`;
  $('made').textContent = made;
}

async function start() {
  $('unserved').hidden = true;
  $('main').hidden = false;
  try {
    const answer = await fetch('network.json');
    if (!answer.ok) throw new Problem('network.json is missing beside this page; copy its whole folder.');
    settings = await answer.json();
  } catch (error) {
    $('drop').hidden = true;
    show({ problem: explain(error) });
    return;
  }
  enlarger = new Enlarger(settings);
  introduce();
  listen();
  document.documentElement.dataset.ready = 'yes';
}

start();
