// Where the page begins.

import { render } from 'preact';
import { App } from './app';
import { startRouter } from './router';
import { boot, followOtherTabs } from './state/session';
import './styles/base.css';
import './styles/parts.css';
import './styles/people.css';
import './styles/shell.css';
import './styles/pages.css';
import './styles/chat.css';

startRouter();
followOtherTabs();
void boot();

const root = document.getElementById('page');
if (root) render(<App />, root);
