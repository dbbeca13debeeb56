import { customAlphabet } from "nanoid";

/** Without characters that are mistaken for each other (0 O, 1 l I). */
const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/** 57^20 ids: about 116 bits. */
const random = customAlphabet(alphabet, 20);

/** Opaque ids: the prefix is for people who read logs, never for programs. */
export const newId = {
  session: () => `sess_${random()}`,
  chat: () => `chat_${random()}`,
  stream: () => `str_${random()}`,
  call: () => `call_${random()}`,
  trace: () => `tr_${random()}`,
} as const;
export type NewId = { readonly [K in keyof typeof newId]: () => string };
