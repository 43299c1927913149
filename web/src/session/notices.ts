// Short messages that come and go ("Ann left the stage"). Pure.

/** At most so many on the screen. */
const MOST_SHOWN = 3;
/** How long a message stays. */
export const NOTICE_MS = 6_000;

/** One message. */
export interface Notice {
  id: number;
  text: string;
  at: number;
}

/** The messages on the screen, oldest first. */
export interface Notices {
  list: readonly Notice[];
  next: number;
}

/** What happens to them. */
export type NoticeAction = { type: 'say'; text: string; now: number } | { type: 'sweep'; now: number };

/** None. */
export const noNotices: Notices = { list: [], next: 1 };

/** The next list. Saying the same twice in a row shows it once, for longer. */
export function reduceNotices(notices: Notices, action: NoticeAction): Notices {
  if (action.type === 'sweep') {
    const list = notices.list.filter((notice) => action.now - notice.at < NOTICE_MS);
    return list.length === notices.list.length ? notices : { ...notices, list };
  }
  const others = notices.list.filter((notice) => notice.text !== action.text);
  const notice = { id: notices.next, text: action.text, at: action.now };
  return { list: [...others, notice].slice(-MOST_SHOWN), next: notices.next + 1 };
}
