// Pictures to tensors and back: RGB in [-1, 1], channels first.

// The central square of a picture file, `size` pixels a side, on white; turned as its EXIF says.
export async function readPicture(file, size) {
  const picture = await createImageBitmap(file);
  const side = Math.min(picture.width, picture.height);
  const left = Math.round((picture.width - side) / 2), top = Math.round((picture.height - side) / 2);
  let canvas = squareCanvas(side, picture, left, top, side);
  picture.close();
  // Halved as long as that is possible: one step of the browser's smoothing leaves jagged edges.
  while (canvas.width >= 2 * size) {
    const half = Math.max(size, Math.floor(canvas.width / 2));
    canvas = squareCanvas(half, canvas, 0, 0, canvas.width);
  }
  if (canvas.width !== size) canvas = squareCanvas(size, canvas, 0, 0, canvas.width);
  const { data } = canvas.getContext("2d").getImageData(0, 0, size, size);
  const image = new Float32Array(3 * size * size);
  for (let place = 0; place < size * size; place += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      image[channel * size * size + place] = data[4 * place + channel] / 127.5 - 1;
    }
  }
  return image;
}

function squareCanvas(size, source, left, top, side) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, size, size);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, left, top, side, side, 0, 0, size, size);
  return canvas;
}

// Bytes RGBA of image `row` of a batch; values are clamped, then rounded.
export function toBytes(image, row) {
  const [, , height, width] = image.dims;
  const count = height * width, start = 3 * count * row;
  const bytes = new Uint8ClampedArray(4 * count).fill(255);
  for (let place = 0; place < count; place += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      bytes[4 * place + channel] = (image.data[start + channel * count + place] + 1) * 127.5;
    }
  }
  return bytes;
}

// A figure of image `row` with a caption below.
export function figure(image, row, text) {
  const [, , height, width] = image.dims;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", text);
  canvas.getContext("2d").putImageData(new ImageData(toBytes(image, row), width, height), 0, 0);
  const caption = document.createElement("figcaption");
  caption.textContent = text;
  const whole = document.createElement("figure");
  whole.append(canvas, caption);
  return whole;
}
