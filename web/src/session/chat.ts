// What was said and shown since this page joined. Nothing of it is kept
// anywhere: whoever comes later does not see it. Pure.

/** The newest messages are kept, older ones go: a bound for a page open for hours. */
export const MOST_MESSAGES = 300;
/** Longer messages are cut, whoever sent them. */
export const MOST_CHARACTERS = 2_000;
/** Reactions on the screen at once. */
const MOST_REACTIONS = 24;
/** How long a reaction floats. */
export const REACTION_MS = 3_000;

/** The reactions there are; anything else that comes over the wire is ignored. */
export const REACTIONS = ['heart', 'clap', 'laugh', 'wow', 'up'] as const;
/** One of them. */
export type ReactionKind = (typeof REACTIONS)[number];

/** One message. */
export interface Message {
  id: string;
  from: string;
  name: string;
  text: string;
  at: number;
  own: boolean;
}

/** One reaction on its way up. `lane` (0..1) is where it floats. */
export interface Reaction {
  id: string;
  kind: ReactionKind;
  at: number;
  lane: number;
}

/** Chat and reactions of this page. */
export interface Chat {
  messages: readonly Message[];
  reactions: readonly Reaction[];
  /** Messages of others that came while the chat was not open. */
  unread: number;
  open: boolean;
}

/** What happens to the chat. */
export type ChatAction =
  | { type: 'message'; message: Message }
  | { type: 'reaction'; reaction: Reaction }
  | { type: 'sweep'; now: number }
  | { type: 'open'; open: boolean };

/** Before anybody said anything. */
export const silent: Chat = { messages: [], reactions: [], unread: 0, open: false };

/** The next state of the chat. */
export function reduceChat(chat: Chat, action: ChatAction): Chat {
  switch (action.type) {
    case 'message': {
      if (chat.messages.some((known) => known.id === action.message.id)) return chat;
      const messages = [...chat.messages, action.message].slice(-MOST_MESSAGES);
      return { ...chat, messages, unread: chat.open || action.message.own ? chat.unread : chat.unread + 1 };
    }
    case 'reaction':
      return { ...chat, reactions: [...chat.reactions, action.reaction].slice(-MOST_REACTIONS) };
    case 'sweep': {
      const reactions = chat.reactions.filter((reaction) => action.now - reaction.at < REACTION_MS);
      return reactions.length === chat.reactions.length ? chat : { ...chat, reactions };
    }
    case 'open':
      return chat.open === action.open
        ? chat
        : { ...chat, open: action.open, unread: action.open ? 0 : chat.unread };
  }
}

/** A message as it is sent, `null` when there is nothing to send. */
export function toSend(text: string): string | null {
  const trimmed = text.trim().slice(0, MOST_CHARACTERS);
  return trimmed === '' ? null : trimmed;
}

/** Whether `value` names a reaction. */
export function isReaction(value: string): value is ReactionKind {
  return (REACTIONS as readonly string[]).includes(value);
}
