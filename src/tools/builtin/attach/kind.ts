/** What content is: its bytes tell, never its name. */
export type Kind =
  | { type: "text"; text: string }
  | { type: "image"; mediaType: string }
  /** `what` is for people; undefined where the bytes say nothing. */
  | { type: "other"; what: string | undefined };

export function kindOf(bytes: Buffer): Kind {
  // Some are ASCII from end to end, and noise as a text all the same.
  if (isPdf(bytes)) return { type: "other", what: "a PDF document" };
  // Before the images: a text may begin with the letters GIF89a, and an image is never valid UTF-8 without NUL.
  const text = utf8Of(bytes);
  if (text !== undefined) return { type: "text", text };
  const image = images.find(([is]) => is(bytes));
  if (image !== undefined) return { type: "image", mediaType: image[1] };
  return { type: "other", what: others.find(([start]) => begins(bytes, start))?.[1] };
}

export function isPdf(bytes: Buffer): boolean {
  return begins(bytes, PDF);
}

/** Without its byte order mark; undefined where it is not UTF-8, or holds NUL. */
function utf8Of(bytes: Buffer): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    // That is the answer.
    return undefined;
  }
}

const images: readonly [(bytes: Buffer) => boolean, string][] = [
  [(bytes) => begins(bytes, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), "image/png"],
  [(bytes) => begins(bytes, [0xff, 0xd8, 0xff]), "image/jpeg"],
  [(bytes) => begins(bytes, ascii("GIF87a")) || begins(bytes, ascii("GIF89a")), "image/gif"],
  [(bytes) => begins(bytes, ascii("RIFF")) && begins(bytes.subarray(8), ascii("WEBP")), "image/webp"],
];

const PDF = ascii("%PDF-");

/** What people are likely to try. */
const others: readonly [readonly number[], string][] = [
  [[0x50, 0x4b, 0x03, 0x04], "a ZIP archive, or a document that is one inside"],
  [[0x50, 0x4b, 0x05, 0x06], "an empty ZIP archive"],
  [[0x1f, 0x8b], "gzip data"],
  [ascii("BZh"), "bzip2 data"],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], "xz data"],
  [[0x28, 0xb5, 0x2f, 0xfd], "zstd data"],
  [[0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], "a 7z archive"],
  [ascii("Rar!"), "a RAR archive"],
  [[0xd0, 0xcf, 0x11, 0xe0], "an old office document"],
  [[0x7f, 0x45, 0x4c, 0x46], "a program"],
  [ascii("MZ"), "a program"],
  [ascii("SQLite format 3"), "an SQLite database"],
  [ascii("OggS"), "Ogg media"],
  [ascii("ID3"), "MP3 audio"],
  [ascii("fLaC"), "FLAC audio"],
  [ascii("RIFF"), "RIFF media"],
  [ascii("BM"), "a BMP image"],
  [[0x49, 0x49, 0x2a, 0x00], "a TIFF image"],
  [[0x4d, 0x4d, 0x00, 0x2a], "a TIFF image"],
  [[0x00, 0x00, 0x01, 0x00], "an icon"],
  [[0xff, 0xfe], "text in UTF-16"],
  [[0xfe, 0xff], "text in UTF-16"],
];

function ascii(text: string): number[] {
  return [...Buffer.from(text, "latin1")];
}

function begins(bytes: Buffer, start: readonly number[]): boolean {
  return start.every((byte, index) => bytes[index] === byte);
}
