// The page: its forms, and what it says while it works.

import { Model } from "./model.js";
import { noiseOfEach, ofPixels } from "./noise.js";
import { figure, readPicture } from "./pixels.js";

const DRAWN = 4;
const SAMPLES = 3; // of the same tokens, where the decoder samples
const AT_ONCE = 4; // most passes of the generator with which the page draws while one types
const find = (id) => document.getElementById(id);

async function openModel() {
  const wanted = new URLSearchParams(location.search).get("provider");
  const page = await (await fetch("page.json")).json();
  const gpu = page.webgpu && wanted !== "wasm" && (await navigator.gpu?.requestAdapter().catch(() => null));
  const ort = await import(`./ort/${gpu ? page.webgpu : page.wasm}`);
  ort.env.wasm.wasmPaths = new URL("ort/", location.href).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency ?? 1) : 1;
  return Model.open(new URL("model/", location.href), ort, gpu ? ["webgpu", "wasm"] : ["wasm"]);
}

function say(text, { wrong = false } = {}) {
  find("status").textContent = text;
  find("status").classList.toggle("wrong", wrong);
}

function showProgress(share) {
  find("progress").hidden = share === null;
  if (share !== null) find("progress").value = share;
}

// Lets the browser paint.
const breathe = () => new Promise((resolve) => { setTimeout(resolve, 0); });

// Do `work` once at a time, and say what went wrong.
let working = false;
async function busy(model, graphs, work) {
  working = true;
  const buttons = document.querySelectorAll("button");
  buttons.forEach((button) => { button.disabled = true; });
  const total = model.bytes(graphs);
  let loaded = 0;
  model.onDownload = (_, more) => {
    loaded += more;
    showProgress(Math.min(1, loaded / total));
  };
  say(total > 0 ? `Loading ${megabytes(total)} of the model` : "Working");
  try {
    await Promise.all(graphs.filter((name) => name in model.manifest.graphs).map((name) => model.session(name)));
    const start = performance.now();
    await work();
    say(`Done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  } catch (error) {
    console.error(error);
    say(`That did not work: ${error.message ?? error}`, { wrong: true });
  } finally {
    working = false;
    showProgress(null);
    buttons.forEach((button) => { button.disabled = false; });
  }
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

function setUpDrawing(model) {
  const { classes, readers } = model.manifest;
  find("draw").hidden = false;
  find("prompt-field").hidden = classes.length > 0;
  find("class-field").hidden = classes.length === 0;
  find("class").append(...classes.map((name) => new Option(name, name)));
  const graphs = [...new Set(["generator", "decoder", readers.generator, readers.tokenizer].filter(Boolean))];
  const draw = () => {
    const asked = classes.length > 0 ? find("class").value : find("prompt").value.trim();
    const seed = Math.min(Math.max(Math.floor(Number(find("seed").value)) || 0, 0), 2 ** 32 - DRAWN);
    const seeds = Array.from({ length: DRAWN }, (_, place) => seed + place);
    return busy(model, graphs, async () => {
      const image = await drawSeeds(model, seeds, asked, async (done, steps) => {
        showProgress(done / steps);
        await breathe();
      });
      const name = asked || "anything";
      find("drawn").replaceChildren(...seeds.map((one, row) => figure(image, row, `${name}, seed ${one}`)));
    });
  };
  find("draw-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!working) draw();
  });
  const passes = model.manifest.sampling.evaluations.reduce((sum, row) => sum + (row.guidance === 1 ? 1 : 2), 0);
  if (passes > AT_ONCE) return;
  let waiting = false; // what was typed last, while something is drawn
  find("draw-form").addEventListener("input", async () => {
    waiting = true;
    // Nothing is downloaded before the first picture was asked for.
    while (waiting && !working && model.bytes(graphs) === 0) {
      waiting = false;
      await draw();
    }
  });
}

// Images of one prompt or class, one from each seed.
function drawSeeds(model, seeds, asked, onStep) {
  const { classes, latents } = model.manifest;
  const data = noiseOfEach(seeds, latents.generated * latents.channels);
  const start = model.floats(data, [seeds.length, latents.generated, latents.channels]);
  const captions = seeds.map(() => (classes.length > 0 ? "" : asked));
  return model.draw(start, seeds.map(() => asked), captions, onStep, patchNoise(model, seeds));
}

// What a decoder that samples starts from, one for each seed; null for any other.
function patchNoise(model, seeds) {
  if (!model.samples) return null;
  const [, patches, numbers] = model.manifest.graphs.decoder.inputs.noise.shape;
  return model.floats(noiseOfEach(seeds.map(ofPixels), patches * numbers), [seeds.length, patches, numbers]);
}

function setUpReconstruction(model) {
  const { latents, readers } = model.manifest;
  find("reconstruct").hidden = false;
  const [count, shown] = [find("count"), find("count-shown")];
  count.min = model.samples ? 0 : 1; // without tokens it draws what the caption says
  count.max = count.value = latents.tokens;
  shown.value = count.value;
  count.addEventListener("input", () => { shown.value = count.value; });
  find("count-field").hidden = !latents.nested || latents.tokens === 1;
  find("caption-field").hidden = readers.tokenizer === null;
  find("reconstruct-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const [file] = find("picture").files;
    if (!file) {
      say("Choose a picture first.", { wrong: true });
      return;
    }
    const caption = readers.tokenizer === null ? "" : find("caption").value.trim();
    const graphs = ["encoder", "decoder", ...(caption ? [readers.tokenizer] : [])];
    busy(model, graphs, () => showReconstruction(model, file, caption, Number(count.value)));
  });
}

async function showReconstruction(model, file, caption, count) {
  const size = model.manifest.image.size;
  let picture;
  try {
    picture = await readPicture(file, size);
  } catch {
    throw new Error(`${file.name} is no picture that this browser reads`);
  }
  const given = model.floats(picture, [1, 3, size, size]);
  const tokens = `${count} token${count === 1 ? "" : "s"}`;
  const shown = [figure(given, 0, `the picture, ${size} × ${size}`)];
  const captions = caption ? ["", caption] : [""];
  const seeds = Array.from({ length: model.samples ? SAMPLES : 1 }, (_, seed) => seed);
  for (const one of captions) {
    const images = await reconstruct(model, given, one, count, seeds);
    const what = one ? `${tokens} and “${one}”` : `${tokens}, no caption`;
    shown.push(...seeds.map((seed) => figure(images, seed, model.samples ? `${what}, seed ${seed}` : what)));
  }
  find("reconstructed").replaceChildren(...shown);
}

// One image through its first tokens and back, a decoding for each seed.
async function reconstruct(model, image, caption, count, seeds = [0]) {
  const tokens = await model.encode(image, [caption]);
  const channels = tokens.dims[2], size = count * channels;
  const data = new Float32Array(seeds.length * size);
  seeds.forEach((_, row) => data.set(tokens.data.subarray(0, size), row * size));
  const first = model.floats(data, [seeds.length, count, channels]);
  return model.decode(first, seeds.map(() => caption), patchNoise(model, seeds));
}

function introduce(model) {
  const { image, latents, licence, sampling, textok } = model.manifest;
  const drawn = model.canDraw ? ` Drawn in ${sampling.steps} steps (${sampling.sampler}).` : "";
  find("about").textContent = `${image.size} × ${image.size} pixels in ${latents.tokens} tokens of ${latents.channels} numbers.${drawn} `
    + `The model is downloaded once, at most ${megabytes(model.bytes(Object.keys(model.manifest.graphs)))}.`;
  find("small").textContent = `Model: ${licence.replace(/\.$/, "")}. Made by textok ${textok}; onnxruntime-web (MIT) on ${model.providers[0]}.`;
}

try {
  const model = await openModel();
  introduce(model);
  if (model.canDraw) setUpDrawing(model);
  setUpReconstruction(model);
  // For scripts and tests: `await textok.draw(noise, asked, captions)` with tensors of textok.floats.
  window.textok = Object.assign(model, { reconstruct: reconstruct.bind(null, model), drawSeeds: drawSeeds.bind(null, model) });
} catch (error) {
  console.error(error);
  find("about").textContent = "";
  say(`The page could not start: ${error.message ?? error}. It has to be opened over http or https, not as a file.`, { wrong: true });
}
