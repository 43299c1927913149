// The icons: line drawings of our own, one path string each. Always
// decoration; the words are in the label of what they sit in.

const PATHS = {
  mic: 'M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3',
  'mic-off':
    'M15 9.5V6a3 3 0 0 0-5.8-1M9 9v3a3 3 0 0 0 4.7 2.5M5.5 11.5a6.5 6.5 0 0 0 10.6 5M18.5 11.5a6.5 6.5 0 0 1-.6 2.8M12 18v3M4 4l16 16',
  camera:
    'M4 7.5A1.5 1.5 0 0 1 5.5 6h8A1.5 1.5 0 0 1 15 7.5v9a1.5 1.5 0 0 1-1.5 1.5h-8A1.5 1.5 0 0 1 4 16.5ZM15 10.5l5-3v9l-5-3',
  'camera-off':
    'M9 6h4.5A1.5 1.5 0 0 1 15 7.5v3l5-3v9M15 15v1.5a1.5 1.5 0 0 1-1.5 1.5h-8A1.5 1.5 0 0 1 4 16.5v-9A1.5 1.5 0 0 1 5.5 6M4 4l16 16',
  screen: 'M4 5h16v11H4ZM9 20h6M12 16v4M12 13V8M9.5 10.2 12 8l2.5 2.2',
  people:
    'M9 11a3.25 3.25 0 1 0 0-6.5A3.25 3.25 0 0 0 9 11ZM3 19.5c0-3.3 2.7-5.5 6-5.5s6 2.2 6 5.5M15.5 5a3 3 0 0 1 0 5.7M17.5 14.3c2.1.7 3.5 2.6 3.5 5.2',
  chat: 'M4 5h16v11h-8l-4.5 3.5V16H4Z',
  hand: 'M8 12V6.2a1.3 1.3 0 0 1 2.6 0V11M10.6 10.5V4.8a1.3 1.3 0 0 1 2.6 0v5.7M13.2 10.7V5.8a1.3 1.3 0 0 1 2.6 0V12M15.8 11V8.3a1.3 1.3 0 0 1 2.6 0v6c0 3.7-2.3 6.2-5.7 6.2-2.7 0-4.2-1.2-5.5-3.4l-2.4-4a1.3 1.3 0 0 1 2.2-1.4L8 13.3',
  heart: 'M12 20s-7.5-4.6-7.5-10A4.3 4.3 0 0 1 12 7.2 4.3 4.3 0 0 1 19.5 10c0 5.4-7.5 10-7.5 10Z',
  clap: 'M7.5 13.5 12 9M9.5 15.8l5-5M6 11.5l4.7-4.7M5.8 11.2a5.8 5.8 0 0 0 8.9 7.4l3-3.1a2.6 2.6 0 0 0 .3-3.3l-1.5-2.4M14 4l.5-1.8M17.5 5.5 19 4M18.8 9l1.9-.4',
  laugh: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM7.5 13.5h9a4.5 4.5 0 0 1-9 0ZM8 9.5l1-1 1 1M14 9.5l1-1 1 1',
  wow: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 17.5a2 2.5 0 1 0 0-5 2 2.5 0 0 0 0 5ZM8.5 9v.01M15.5 9v.01',
  up: 'M7.5 11v9H4.5v-9ZM7.5 11l4-7.5c1.6 0 2.3 1.1 2 2.6L12.8 9.5h5.2a1.6 1.6 0 0 1 1.6 2l-1.7 7a2 2 0 0 1-2 1.5H7.5',
  leave: 'M14 4H6v16h8M10.5 12H21M17.5 8.5 21 12l-3.5 3.5',
  stop: 'M7 7h10v10H7Z',
  fullscreen: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
  'fullscreen-exit': 'M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5',
  pip: 'M3.5 5h17v14h-17ZM12 12h6v4.5h-6Z',
  quality: 'M4 7h9M17 7h3M4 12h3M11 12h9M4 17h11M19 17h1M15 5v4M9 10v4M17 15v4',
  share: 'M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1',
  'sound-off': 'M4 9.5h3.5L12 5.5v13l-4.5-4H4ZM16 9.5l5 5M21 9.5l-5 5',
  sound: 'M4 9.5h3.5L12 5.5v13l-4.5-4H4ZM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11',
  more: 'M6 12h.01M12 12h.01M18 12h.01',
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.5 15.5 20 20',
  plus: 'M12 5v14M5 12h14',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1.1 1.1M17.3 17.3l1.1 1.1M5.6 18.4l1.1-1.1M17.3 6.7l1.1-1.1',
  moon: 'M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10Z',
  key: 'M8 16.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM12.5 12H21v3M17 12v2.5',
  close: 'M6 6l12 12M18 6 6 18',
  down: 'M6 9l6 6 6-6',
  eye: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12ZM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z',
  open: 'M14 5h5v5M19 5l-8 8M11 5H5v14h14v-6',
  edit: 'M4 20h4L19 9l-4-4L4 16ZM13 7l4 4',
  back: 'M15 5l-7 7 7 7',
  send: 'M4 12 20 4l-5 16-3.5-6.5Z',
  info: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 11v5.5M12 7.8v.01',
} as const;

/** The name of an icon. */
export type IconName = keyof typeof PATHS;

/** One icon, as large as the text around it asks for. */
export function Icon({ name, filled = false }: { name: IconName; filled?: boolean }) {
  return (
    <svg
      className={filled ? 'icon icon-filled' : 'icon'}
      viewBox="0 0 24 24"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
