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

/** Where the tiles are, as values of CSS grid. `areas` holds first the large ones, then the small. */
export interface Placement {
  columns: string;
  rows: string;
  areas: string[];
}

/** How much of the stage the strip takes. */
const STRIP = 0.18;

/**
 * Places large and small tiles in one grid, so that a picture that moves between stage and strip
 * goes on playing. The strip is at the side, or below on a stage that is taller than wide.
 */
export function place(large: number, small: number, shape: number): Placement {
  const beside = shape >= 1;
  const left = small === 0 ? shape : beside ? shape * (1 - STRIP) : shape / (1 - STRIP);
  const across = columns(large, left);
  const down = Math.max(1, Math.ceil(large / across));
  const parts = Math.max(1, small);
  const span = (at: number, size: number) => `${at + 1} / span ${size}`;
  const area = (row: string, column: string) => {
    const [top, high] = row.split(' / ');
    const [start, wide] = column.split(' / ');
    return `${top} / ${start} / ${high} / ${wide}`;
  };
  const bigs = Array.from({ length: large }, (_, at) => {
    const [row, column] = [Math.floor(at / across), at % across];
    return beside
      ? area(span(row * parts, parts), span(column, 1))
      : area(span(row, 1), span(column * parts, parts));
  });
  const smalls = Array.from({ length: small }, (_, at) =>
    beside ? area(span(at * down, down), span(across, 1)) : area(span(down, 1), span(at * across, across)),
  );
  const even = (count: number) => `repeat(${count}, minmax(0, 1fr))`;
  const strip = (count: number) =>
    small === 0 ? '' : ` minmax(0, ${((count * STRIP) / (1 - STRIP)).toFixed(3)}fr)`;
  return {
    columns: beside ? even(across) + strip(across) : even(across * parts),
    rows: beside ? even(down * parts) : even(down) + strip(down),
    areas: [...bigs, ...smalls],
  };
}
