// Chat and reactions over LiveKit data: chat as text streams on LiveKit's own
// topic, so that its other clients take part; reactions as small packets.

import { type Participant, type RemoteParticipant, type Room, RoomEvent } from 'livekit-client';
import { createStore, type Readable } from '../lib/store';
import {
  type Chat,
  isReaction,
  MOST_CHARACTERS,
  type ReactionKind,
  reduceChat,
  silent,
  toSend,
} from './chat';

const CHAT_TOPIC = 'lk.chat';
const REACTION_TOPIC = 'livestream.reaction';
/** A person may send so many reactions a second; more would only cover the video. */
const REACTION_GAP_MS = 200;

/** Sends and receives what people say. */
export class ChatWire {
  readonly #store = createStore(reduceChat, silent);
  #lastReaction = 0;
  #count = 0;

  constructor(private readonly room: Room) {
    room.registerTextStreamHandler(CHAT_TOPIC, (reader, { identity }) => {
      void this.#receive(reader, identity);
    });
    room.on(RoomEvent.DataReceived, (payload, from, _kind, topic) => this.#data(payload, from, topic));
  }

  /** What was said. */
  get state(): Readable<Chat> {
    return this.#store;
  }

  /** Says something to everybody. Fails when it could not be sent. */
  async send(text: string): Promise<void> {
    const message = toSend(text);
    if (message === null) return;
    const { id } = await this.room.localParticipant.sendText(message, { topic: CHAT_TOPIC });
    this.#show(id, this.room.localParticipant, message, true);
  }

  /** Shows a reaction to everybody. */
  async react(kind: ReactionKind): Promise<void> {
    const now = Date.now();
    if (now - this.#lastReaction < REACTION_GAP_MS) return;
    this.#lastReaction = now;
    this.#float(kind);
    const payload = new TextEncoder().encode(kind);
    await this.room.localParticipant.publishData(payload, { reliable: true, topic: REACTION_TOPIC });
  }

  /** Whether the chat is on the screen: what comes then is read. */
  open(open: boolean): void {
    this.#store.dispatch({ type: 'open', open });
  }

  /** Takes reactions off that have floated away. */
  sweep(): void {
    this.#store.dispatch({ type: 'sweep', now: Date.now() });
  }

  /** Reads a message up to the longest that is shown, whatever its sender sends. */
  async #receive(reader: AsyncIterable<string> & { info: { id: string } }, identity: string): Promise<void> {
    let text = '';
    try {
      for await (const piece of reader) {
        text += piece;
        if (text.length >= MOST_CHARACTERS) break;
      }
    } catch {
      // A sender that went away in the middle of a sentence: what came is shown.
    }
    const from = this.room.getParticipantByIdentity(identity);
    const message = toSend(text);
    if (message !== null) this.#show(reader.info.id, from ?? { identity, name: '' }, message, false);
  }

  #show(id: string, from: Pick<Participant, 'identity' | 'name'>, text: string, own: boolean): void {
    const name = from.name === undefined || from.name === '' ? from.identity : from.name;
    this.#store.dispatch({
      type: 'message',
      message: { id, from: from.identity, name, text, at: Date.now(), own },
    });
  }

  #data(payload: Uint8Array, from: RemoteParticipant | undefined, topic: string | undefined): void {
    if (topic !== REACTION_TOPIC || from === undefined || payload.length > 32) return;
    const kind = new TextDecoder().decode(payload);
    if (isReaction(kind)) this.#float(kind);
  }

  #float(kind: ReactionKind): void {
    this.#count += 1;
    const reaction = { id: `r${this.#count}`, kind, at: Date.now(), lane: Math.random() };
    this.#store.dispatch({ type: 'reaction', reaction });
  }
}
