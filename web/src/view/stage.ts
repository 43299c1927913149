// How pictures share the stage. Pure.

/** What a tile is about. */
export interface Tile {
  key: string;
  /** A shared screen takes the stage, the others go into a strip. */
  screen: boolean;
}

/** Large ones share the stage, small ones are in the strip; the rest is only counted. */
export interface Arrangement<T extends Tile> {
  large: T[];
  small: T[];
  hidden: number;
}

/** More pictures than this nobody can look at, and no machine can decode. */
const MOST_LARGE = 16;
const MOST_SMALL = 6;

/** Who is where. The order given is kept. */
export function arrange<T extends Tile>(tiles: T[]): Arrangement<T> {
  const screens = tiles.filter((tile) => tile.screen);
  const people = tiles.filter((tile) => !tile.screen);
  if (screens.length === 0)
    return { large: people.slice(0, MOST_LARGE), small: [], hidden: Math.max(0, people.length - MOST_LARGE) };
  const hidden = Math.max(0, screens.length - MOST_LARGE) + Math.max(0, people.length - MOST_SMALL);
  return { large: screens.slice(0, MOST_LARGE), small: people.slice(0, MOST_SMALL), hidden };
}

/** Side by side looks better than stacked, even when the pictures are that much smaller. */
const WORTH = 0.85;

/** How many columns a grid of `count` tiles has on a stage of this shape (width by height). */
export function columns(count: number, shape: number): number {
  const sizes = Array.from({ length: Math.max(1, count) }, (_, at) => {
    const down = Math.ceil(count / (at + 1));
    // Pictures are 16:9: the smaller of the two fits limits them.
    return Math.min(shape / (at + 1) / (16 / 9), 1 / down);
  });
  const best = Math.max(...sizes);
  return sizes.findLastIndex((size) => size >= best * WORTH) + 1;
}
