// Dark by default, light on request, remembered.

import { useState } from 'react';
import { keep, recall } from '../lib/storage';
import { Icon } from './Icon';

type Theme = 'dark' | 'light';

/** Puts the remembered theme on the page; before the first render. */
export function applyTheme(): void {
  document.documentElement.dataset.theme = remembered();
}

/** Switches between dark and light. */
export function ThemeButton() {
  const [theme, setTheme] = useState(remembered);
  const other: Theme = theme === 'dark' ? 'light' : 'dark';
  const change = () => {
    keep('local', 'theme', other);
    setTheme(other);
    applyTheme();
  };
  const label = other === 'light' ? 'Light colours' : 'Dark colours';
  return (
    <button type="button" className="quiet round" aria-label={label} title={label} onClick={change}>
      <Icon name={other === 'light' ? 'sun' : 'moon'} />
    </button>
  );
}

function remembered(): Theme {
  return recall<string>('local', 'theme') === 'light' ? 'light' : 'dark';
}
