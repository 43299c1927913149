// The smallest store that React can read: a value, a pure reducer, listeners.
// Knows nothing of what it holds.

import { useSyncExternalStore } from 'react';

/** A value that can be read and watched. */
export interface Readable<S> {
  /** The current value; the same object until something changed. */
  get(): S;
  /** Calls `listener` after every change; the answer ends it. */
  subscribe(listener: () => void): () => void;
}

/** A value that changes only through its reducer. */
export interface Store<S, A> extends Readable<S> {
  /** Applies one action. */
  dispatch(action: A): void;
}

/** A store over a pure reducer. Listeners hear of a change only when the reducer answers another object. */
export function createStore<S, A>(reduce: (state: S, action: A) => S, initial: S): Store<S, A> {
  let state = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    dispatch(action) {
      const next = reduce(state, action);
      if (next === state) return;
      state = next;
      for (const listener of [...listeners]) listener();
    },
  };
}

/** The store's value, re-rendering the component when it changes. */
export function useStore<S>(store: Readable<S>): S {
  return useSyncExternalStore(store.subscribe, store.get);
}
