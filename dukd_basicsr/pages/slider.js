// A before/after slider from pictures of one size. The report and the web page share this file.
//
// From   <section class="compare" data-left="bicubic" data-right="student" data-crop="LEFT,TOP">
//          <div class="figures"><figure><img ...><figcaption>NAME</figcaption></figure> ...</div></section>
// (at least two figures; data-* are optional) it makes: a stage whose left and right part show two of the pictures,
// divided by an <input type="range">; the choice of these two; the same crop of every picture, magnified pixel by pixel.
'use strict';

(() => {
  const LENS = 256; // side of a magnified crop in its own pixels
  const ARROW = 2, PAGE = 10; // per cent that a key moves the divider by
  const CLICK = 4; // pixels that a pointer may move in a click

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const label = (text, control) => make('label', {}, text, control);

  const choose = (names, selected) => {
    const select = make('select');
    names.forEach((name, index) => select.append(new Option(name, String(index), false, index === selected)));
    return select;
  };

  const range = (name, max, value) =>
    make('input', { type: 'range', min: 0, max, step: 1, value: String(value), ariaLabel: name });

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function readPictures(section) {
    return [...section.querySelectorAll('.figures figure')].map((figure) => ({
      name: figure.querySelector('figcaption').textContent,
      image: figure.querySelector('img'),
    }));
  }

  // The two that are shown first: those that data-left and data-right name, else the first two.
  function findFirst(section, names) {
    const left = Math.max(names.indexOf(section.dataset.left), 0);
    const wanted = names.indexOf(section.dataset.right);
    return [left, wanted >= 0 && wanted !== left ? wanted : left === 0 ? 1 : 0];
  }

  function makeStage(width, height) {
    const split = make('input', {
      type: 'range', className: 'split', min: 0, max: 100, step: 0.1, value: '50', ariaLabel: 'Divider',
    });
    const parts = {
      after: make('img', { className: 'after', alt: '' }), before: make('img', { className: 'before', alt: '' }),
      frame: make('div', { className: 'frame' }), divider: make('div', { className: 'divider' }),
      left: make('span', { className: 'badge left' }), right: make('span', { className: 'badge right' }), split,
    };
    const stage = make('div', { className: 'stage' }, ...Object.values(parts));
    stage.style.aspectRatio = `${width} / ${height}`;
    // Small pictures are shown larger than they are; tall ones leave room for the controls.
    stage.style.width = `min(100%, max(${width}px, 26rem), calc(78vh * ${width / height}))`;
    return { stage, ...parts };
  }

  // The keys of a range move by its step, which is too fine here: a drag should follow the pointer.
  function moveByKeys(split) {
    const steps = { ArrowLeft: -ARROW, ArrowDown: -ARROW, ArrowRight: ARROW, ArrowUp: ARROW, PageDown: -PAGE, PageUp: PAGE };
    split.addEventListener('keydown', (event) => {
      if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      split.value = String(clamp(Number(split.value) + steps[event.key] * (event.shiftKey ? 5 : 1), 0, 100));
      split.dispatchEvent(new Event('input'));
    });
  }

  function makeLenses(pictures, width, height, corner) {
    const zoom = make('select');
    [2, 4, 8, 16].forEach((times) => zoom.append(new Option(`${times}×`, String(times), false, times === 4)));
    const across = range('Zoomed part, across', width, 0), down = range('Zoomed part, down', height, 0);
    const canvases = pictures.map(() => make('canvas', { width: LENS, height: LENS }));
    const side = () => Math.min(LENS / Number(zoom.value), width, height);
    const place = { left: corner ? corner[0] + side() / 2 : width / 2, top: corner ? corner[1] + side() / 2 : height / 2 };
    const controls = make('div', { className: 'lens-choice' },
      label('Zoom', zoom), label('across', across), label('down', down));
    const row = make('div', { className: 'lenses' }, ...pictures.map(({ name }, index) => {
      canvases[index].setAttribute('role', 'img');
      canvases[index].setAttribute('aria-label', `${name}, a part of it magnified`);
      return make('figure', {}, canvases[index], make('figcaption', { textContent: name }));
    }));

    const draw = (frame) => {
      const size = side();
      const left = clamp(Math.round(place.left - size / 2), 0, width - size);
      const top = clamp(Math.round(place.top - size / 2), 0, height - size);
      canvases.forEach((canvas, index) => {
        const context = canvas.getContext('2d');
        context.imageSmoothingEnabled = false;
        context.drawImage(pictures[index].image, left, top, size, size, 0, 0, LENS, LENS);
      });
      Object.assign(frame.style, {
        left: `${100 * left / width}%`, top: `${100 * top / height}%`,
        width: `${100 * size / width}%`, height: `${100 * size / height}%`,
      });
      across.value = String(place.left);
      down.value = String(place.top);
    };
    return { zoom, across, down, controls, row, place, draw };
  }

  function makeSlider(section) {
    const pictures = readPictures(section);
    const names = pictures.map(({ name }) => name);
    if (pictures.length < 2) return;
    const { naturalWidth: width, naturalHeight: height } = pictures[0].image;
    const [first, second] = findFirst(section, names);
    const left = choose(names, first), right = choose(names, second);
    const parts = makeStage(width, height);
    const corner = section.dataset.crop ? section.dataset.crop.split(',').map(Number) : null;
    const lenses = makeLenses(pictures, width, height, corner);

    const showSplit = () => {
      const at = Number(parts.split.value);
      parts.stage.style.setProperty('--split', `${at}%`);
      parts.split.setAttribute('aria-valuetext', `${Math.round(at)} % ${names[left.value]}, the rest ${names[right.value]}`);
    };
    const showPair = () => {
      parts.before.src = pictures[left.value].image.src;
      parts.after.src = pictures[right.value].image.src;
      parts.left.textContent = names[left.value];
      parts.right.textContent = names[right.value];
      showSplit();
    };
    // Two of one kind compare nothing: the other side takes what this one had.
    const shown = { left: left.value, right: right.value };
    const exchange = () => {
      if (left.value === right.value) {
        if (left.value !== shown.left) right.value = shown.left;
        else left.value = shown.right;
      }
      shown.left = left.value;
      shown.right = right.value;
      showPair();
    };
    const showLenses = () => lenses.draw(parts.frame);
    const moveLens = (x, y) => {
      Object.assign(lenses.place, { left: clamp(x, 0, width), top: clamp(y, 0, height) });
      showLenses();
    };

    left.addEventListener('change', exchange);
    right.addEventListener('change', exchange);
    parts.split.addEventListener('input', showSplit);
    moveByKeys(parts.split);
    lenses.zoom.addEventListener('change', showLenses);
    lenses.across.addEventListener('input', () => moveLens(Number(lenses.across.value), lenses.place.top));
    lenses.down.addEventListener('input', () => moveLens(lenses.place.left, Number(lenses.down.value)));
    let pressed = null;
    parts.split.addEventListener('pointerdown', (event) => { pressed = [event.clientX, event.clientY]; });
    parts.split.addEventListener('click', (event) => {
      if (!pressed || Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) > CLICK) return;
      const box = parts.stage.getBoundingClientRect();
      moveLens((event.clientX - box.left) / box.width * width, (event.clientY - box.top) / box.height * height);
    });

    section.append(
      make('div', { className: 'choice' }, label('Left', left), label('Right', right)),
      make('div', { className: 'view' }, parts.stage, make('div', { className: 'magnified' }, lenses.controls, lenses.row)));
    section.classList.add('live');
    showPair();
    showLenses();
  }

  // Resolves when the slider is there; it waits for the pictures, whose size it needs.
  window.makeSlider = async (section) => {
    await Promise.all(readPictures(section).map(({ image }) => image.decode()));
    makeSlider(section);
  };
  document.querySelectorAll('.compare').forEach((section) => window.makeSlider(section));
})();
