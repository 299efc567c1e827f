// Captions to ids, as the `tokenizers` library reads a BERT vocabulary (tokenizer.json).

const LONGEST_WORD = 100;

// Ranges as `tokenizers` has them.
const CJK = [
  [0x4e00, 0x9fff], [0x3400, 0x4dbf], [0x20000, 0x2a6df], [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f], [0x2b920, 0x2ceaf], [0xf900, 0xfaff], [0x2f800, 0x2fa1f],
];
const ASCII_PUNCTUATION = /[!-/:-@[-`{-~]/;

export class WordPiece {
  constructor(file, maxTokens) {
    const { model, normalizer, pre_tokenizer: words, post_processor: after } = file;
    if (model?.type !== "WordPiece" || normalizer?.type !== "BertNormalizer" || words?.type !== "BertPreTokenizer") {
      throw new Error("this vocabulary is not BERT's");
    }
    this.ids = new Map(Object.entries(model.vocab));
    this.prefix = model.continuing_subword_prefix ?? "##";
    this.longest = model.max_input_chars_per_word ?? LONGEST_WORD;
    this.unknown = this.ids.get(model.unk_token);
    this.normalizer = normalizer;
    this.added = new Map((file.added_tokens ?? []).filter((one) => !one.normalized).map((one) => [one.content, one.id]));
    [this.first, this.last] = ends(after, this.ids);
    this.maxTokens = maxTokens;
  }

  // Ids with those at both ends, cut to maxTokens.
  encode(text) {
    const ids = this.parts(text).flatMap((part) =>
      this.added.has(part) ? [this.added.get(part)] : this.words(part).flatMap((word) => this.pieces(word)));
    const room = this.maxTokens - this.first.length - this.last.length;
    return [...this.first, ...ids.slice(0, Math.max(room, 0)), ...this.last];
  }

  // The text, cut where a special token such as [SEP] is spelled out.
  parts(text) {
    if (this.added.size === 0) return [text];
    const escaped = [...this.added.keys()].sort((a, b) => b.length - a.length)
      .map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    return text.split(new RegExp(`(${escaped.join("|")})`, "u")).filter((part) => part !== "");
  }

  normalise(text) {
    const { clean_text: clean, handle_chinese_chars: chinese, strip_accents: strip, lowercase } = this.normalizer;
    let chars = [...text];
    if (clean) chars = chars.filter((char) => !isControl(char)).map((char) => (isSpace(char) ? " " : char));
    if (chinese) chars = chars.flatMap((char) => (isCJK(char) ? [" ", char, " "] : [char]));
    if (strip ?? lowercase) chars = [...chars.join("").normalize("NFD")].filter((char) => !/\p{Mn}/u.test(char));
    // One by one: the sigma at the end of a Greek word is not to become another letter.
    return lowercase ? chars.map((char) => char.toLowerCase()).join("") : chars.join("");
  }

  words(text) {
    const found = [];
    let word = "";
    for (const char of [...this.normalise(text), " "]) {
      const alone = isPunctuation(char);
      if (!alone && !isSpace(char)) {
        word += char;
        continue;
      }
      if (word) found.push(word);
      if (alone) found.push(char);
      word = "";
    }
    return found;
  }

  // The longest piece that the vocabulary has, again and again.
  pieces(word) {
    const chars = [...word];
    if (chars.length > this.longest) return [this.unknown];
    const ids = [];
    for (let start = 0; start < chars.length;) {
      let end = chars.length;
      const piece = () => (start ? this.prefix : "") + chars.slice(start, end).join("");
      while (end > start && !this.ids.has(piece())) end -= 1;
      if (end === start) return [this.unknown];
      ids.push(this.ids.get(piece()));
      start = end;
    }
    return ids;
  }
}

function ends(after, ids) {
  if (after?.type === "BertProcessing") return [[after.cls[1]], [after.sep[1]]];
  if (after?.type !== "TemplateProcessing") return [[], []];
  const place = after.single.findIndex((one) => one.Sequence);
  const special = (some) => some.flatMap((one) => after.special_tokens[one.SpecialToken.id]?.ids ?? [ids.get(one.SpecialToken.id)]);
  return [special(after.single.slice(0, place)), special(after.single.slice(place + 1))];
}

function isSpace(char) {
  return /\p{White_Space}/u.test(char);
}

function isControl(char) {
  if (char === "\t" || char === "\n" || char === "\r") return false;
  return char === "\0" || char === "\ufffd" || /[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/u.test(char);
}

function isPunctuation(char) {
  return ASCII_PUNCTUATION.test(char) || /\p{P}/u.test(char);
}

function isCJK(char) {
  const code = char.codePointAt(0);
  return CJK.some(([low, high]) => low <= code && code <= high);
}
