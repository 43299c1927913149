// What a feed's reducer hears, wherever it comes from: this tab's own
// connection or the tab that leads.

/** Something happened to the connection or came over it. `at` is the page's clock, milliseconds. */
export type FeedAction =
  | { type: 'open'; at: number }
  | { type: 'down'; at: number; why: 'unreachable' | 'unavailable' | 'ended' }
  | { type: 'missing'; at: number }
  | { type: 'event'; at: number; event: string; data: unknown; id: string | null };

/** How the connection to the server's events is. */
export type Link =
  | { is: 'connecting' }
  | { is: 'open' }
  /** Broken since then; what the page shows is as of that moment. */
  | { is: 'down'; since: number };

/** The link after an action: a connection that stays down keeps the time at which it broke. */
export function nextLink(link: Link, action: FeedAction): Link {
  if (action.type === 'down') return link.is === 'down' ? link : { is: 'down', since: action.at };
  return link.is === 'open' ? link : { is: 'open' };
}
