// The exported model: what textok/export/client.py does, in JavaScript.
// Tensors are {data, dims}; a batch comes first. Legend: B batch, K tokens, C channels.

import { WordPiece } from "./wordpiece.js";

export class Model {
  constructor(ort, folder, manifest, providers) {
    Object.assign(this, { ort, folder, manifest, providers, sessions: new Map(), vocabularies: new Map() });
    this.onDownload = () => {};
    this.last = Promise.resolve();
  }

  static async open(folder, ort, providers) {
    const answer = await fetch(new URL("manifest.json", folder));
    if (!answer.ok) throw new Error(`manifest.json: ${answer.status}`);
    return new Model(ort, folder, await answer.json(), providers);
  }

  get canDraw() {
    return "generator" in this.manifest.graphs;
  }

  // Bytes that the graphs of these names have yet to be downloaded for.
  bytes(names) {
    const missing = names.filter((name) => name in this.manifest.graphs && !this.sessions.has(name));
    return missing.reduce((sum, name) => sum + this.manifest.graphs[name].bytes, 0);
  }

  // Tokens (B, K, C) of images (B, 3, S, S) in [-1, 1].
  async encode(image, captions) {
    const found = await this.run("encoder", { image, ...(await this.read("encoder", captions)) });
    return found.tokens;
  }

  // Images (B, 3, S, S), not clamped. A decoder that samples takes `pixelNoise` (B, N, P).
  async decode(tokens, captions, pixelNoise) {
    const noise = this.samples ? { noise: pixelNoise } : {};
    return (await this.run("decoder", { tokens, ...noise, ...(await this.read("decoder", captions)) })).image;
  }

  // Whether the decoder samples.
  get samples() {
    return "noise" in this.manifest.graphs.decoder.inputs;
  }

  // Images of prompts, or classes, out of noise (B, K, C); the decoder reads the captions.
  async draw(noise, asked, captions, onStep = () => {}, pixelNoise = null) {
    const { mean, std, channels } = this.manifest.latents;
    const tokens = await this.sample(noise, asked, onStep);
    const data = tokens.data.map((value, place) => value * std[place % channels] + mean[place % channels]);
    return this.decode(this.floats(data, tokens.dims), captions, pixelNoise);
  }

  async sample(noise, asked, onStep) {
    const rows = this.manifest.sampling.evaluations;
    const batch = asked.length, size = noise.data.length;
    const wanted = await this.condition(asked), both = this.withNothing(wanted);
    let x = Float32Array.from(noise.data), before = new Float32Array(size);
    for (const [step, row] of rows.entries()) {
      const guided = row.guidance !== 1;
      const count = guided ? 2 * batch : batch;
      const tokens = new Float32Array(guided ? 2 * size : size);
      tokens.set(x);
      if (guided) tokens.set(x, size);
      const { output } = await this.run("generator", {
        tokens: this.floats(tokens, [count, ...noise.dims.slice(1)]),
        time: this.floats(new Float32Array(count).fill(row.time), [count]),
        ...(guided ? both : wanted),
        ...Object.fromEntries(Object.entries(row.inputs ?? {}).map(
          ([name, value]) => [name, this.floats(new Float32Array(count).fill(value), [count])],
        )),
      });
      const own = firstChannels(output, noise.dims[2]);
      const next = new Float32Array(size), prediction = new Float32Array(size);
      for (let place = 0; place < size; place += 1) {
        const other = guided ? own[size + place] : own[place];
        const led = other + row.guidance * (own[place] - other);
        prediction[place] = row.from_tokens * x[place] + row.from_output * led;
        next[place] = row.keep * x[place] + row.now * prediction[place] + row.before * before[place];
      }
      [x, before] = [next, prediction];
      await onStep(step + 1, rows.length);
    }
    return this.floats(x, noise.dims);
  }

  // What the generator is asked: prompts, or names of classes; "" asks for nothing.
  async condition(asked) {
    const { classes, readers } = this.manifest;
    if (classes.length === 0) return this.features(readers.generator, asked);
    const labels = asked.map((name) => BigInt(name ? classes.indexOf(name) : -1));
    return { labels: new this.ort.Tensor("int64", BigInt64Array.from(labels), [asked.length]) };
  }

  // The same rows, and as many that ask for nothing: no caption, or class -1.
  withNothing(wanted) {
    const twice = Object.entries(wanted).map(([name, { type, data, dims }]) => {
      const rows = new data.constructor(2 * data.length);
      rows.set(data);
      if (name === "text_states") rows.set(data, data.length);
      if (name === "labels") rows.fill(-1n, data.length);
      return [name, new this.ort.Tensor(type, rows, [2 * dims[0], ...dims.slice(1)])];
    });
    return Object.fromEntries(twice);
  }

  // States and mask of captions, zeros and False where one is blank.
  async features(name, captions) {
    const about = this.manifest.texts[name], width = about.width;
    const real = captions.map((_, row) => row).filter((row) => captions[row].trim() !== "");
    const found = real.length ? await this.run(name, await this.ids(name, real.map((row) => captions[row]))) : null;
    const length = found ? found.text_mask.dims[1] : Math.min(2, about.out_tokens);
    const states = new Float32Array(captions.length * length * width);
    const mask = new Uint8Array(captions.length * length);
    real.forEach((row, place) => {
      states.set(found.text_states.data.subarray(place * length * width, (place + 1) * length * width), row * length * width);
      mask.set(found.text_mask.data.subarray(place * length, (place + 1) * length), row * length);
    });
    return {
      text_states: this.floats(states, [captions.length, length, width]),
      text_mask: new this.ort.Tensor("bool", mask, [captions.length, length]),
    };
  }

  async ids(name, captions) {
    const about = this.manifest.texts[name], vocabulary = await this.vocabulary(name);
    const each = captions.map((caption) => vocabulary.encode(caption));
    const length = Math.max(2, ...each.map((ids) => ids.length));
    const ids = new BigInt64Array(each.length * length), real = new Uint8Array(each.length * length);
    each.forEach((row, place) => {
      ids.set(row.map(BigInt), place * length);
      real.fill(1, place * length, place * length + row.length);
    });
    const dims = [each.length, length];
    return { ids: new this.ort.Tensor("int64", ids, dims), real: new this.ort.Tensor("bool", real, dims) };
  }

  async run(graph, inputs) {
    return (await this.session(graph)).run(inputs);
  }

  floats(data, dims) {
    return new this.ort.Tensor("float32", data, dims);
  }

  async read(graph, captions) {
    const reads = "text_states" in this.manifest.graphs[graph].inputs;
    return reads ? this.features(this.manifest.readers.tokenizer, captions) : {};
  }

  session(graph) {
    if (!this.sessions.has(graph)) {
      const { file, bytes } = this.manifest.graphs[graph];
      const opened = download(new URL(file, this.folder), (more) => this.onDownload(graph, more, bytes))
        .then((data) => this.create(data));
      opened.catch(() => this.sessions.delete(graph)); // so that the next try asks again
      this.sessions.set(graph, opened);
    }
    return this.sessions.get(graph);
  }

  // One after another: the runtime is not made for several at once.
  create(data) {
    const made = this.last.then(() => this.onFirstProvider(data));
    this.last = made.catch(() => {});
    return made;
  }

  async onFirstProvider(data) {
    for (const [place, provider] of this.providers.entries()) {
      try {
        return await this.ort.InferenceSession.create(data, { executionProviders: [provider], logSeverityLevel: 3 });
      } catch (error) {
        if (place === this.providers.length - 1) throw error;
      }
    }
    throw new Error("no execution provider");
  }

  vocabulary(name) {
    if (!this.vocabularies.has(name)) {
      const { vocabulary, max_tokens: most } = this.manifest.texts[name];
      const opened = fetch(new URL(vocabulary, this.folder)).then((answer) => {
        if (!answer.ok) throw new Error(`${vocabulary}: ${answer.status}`);
        return answer.json();
      }).then((file) => new WordPiece(file, most));
      opened.catch(() => this.vocabularies.delete(name));
      this.vocabularies.set(name, opened);
    }
    return this.vocabularies.get(name);
  }
}

async function download(address, onBytes) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address.pathname.split("/").pop()}: ${answer.status}`);
  const parts = [];
  let size = 0;
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
    onBytes(value.length);
  }
  const data = new Uint8Array(size);
  let place = 0;
  for (const part of parts) {
    data.set(part, place);
    place += part.length;
  }
  return data;
}

function firstChannels(output, channels) {
  const all = output.dims[2];
  return all === channels ? output.data : output.data.filter((_, place) => place % all < channels);
}
