// Standard-normal noise that follows from a seed alone, the same on every machine to rounding.

// The state is stepped by a Weyl sequence and mixed (splitmix32, Steele et al. 2014).
function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
  };
}

// `count` numbers of one image, by Box and Muller (1958). Seeds are whole numbers from 0 to 2^32 - 1.
export function noise(seed, count) {
  const next = uniform(Math.imul(seed, 0x27d4eb2f) ^ 0x165667b1);
  const values = new Float32Array(count);
  for (let place = 0; place < count; place += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - next()));
    const angle = 2 * Math.PI * next();
    values[place] = radius * Math.cos(angle);
    if (place + 1 < count) values[place + 1] = radius * Math.sin(angle);
  }
  return values;
}

// Of several images one after another.
export function noiseOfEach(seeds, count) {
  const values = new Float32Array(seeds.length * count);
  seeds.forEach((seed, row) => values.set(noise(seed, count), row * count));
  return values;
}

// The seed of an image's pixels, whose noise has nothing in common with that of its tokens.
export function ofPixels(seed) {
  return (seed ^ 0x70697865) >>> 0;
}
