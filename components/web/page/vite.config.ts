// How the page is built: into `../dist`, which the component's manifest serves. In development the host is asked
// through the same origin, so that cookies and the socket work as they do when the host serves the page.
import { defineConfig } from 'vite';

const host = process.env['DEVCONNECT_URL'] ?? 'http://127.0.0.1:3000';
const routes = [
  '/signup',
  '/login',
  '/logout',
  '/profile',
  '/user',
  '/feed',
  '/request',
  '/chat',
  '/notifications',
  '/email-preferences',
  '/payments',
  '/sessions',
  '/account',
  '/analytics',
  '/socket.io',
];

export default defineConfig({
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    // The policy of the page allows no inline script, style or font.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    target: ['chrome111', 'firefox114', 'safari16.4'],
  },
  server: {
    // `changeOrigin` rewrites Host, and the host compares Origin with it: both name the host then.
    proxy: Object.fromEntries(routes.map((route) => [route, { target: host, ws: route === '/socket.io' }])),
  },
});
