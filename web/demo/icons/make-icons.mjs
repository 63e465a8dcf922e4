// Renders the PNG icons from the SVG sources. Run by hand after changing them: node web/demo/icons/make-icons.mjs
// Chromium is the renderer; CHROMIUM names another binary than the usual one.
import { readFileSync, writeFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const kIcons = [
  { source: 'logo.svg', size: 192, target: 'icon-192.png' },
  { source: 'logo.svg', size: 512, target: 'icon-512.png' },
  { source: 'logo-maskable.svg', size: 512, target: 'icon-maskable-512.png' },
  { source: 'logo-maskable.svg', size: 180, target: 'apple-touch-icon.png' },
];
const here = (name) => new URL(name, import.meta.url);

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', chromiumSandbox: false });
for (const { source, size, target } of kIcons) {
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  const svg = readFileSync(here(source), 'utf8');
  await page.setContent(`<style>body{margin:0}svg{display:block;width:${size}px;height:${size}px}</style>${svg}`);
  writeFileSync(here(target), await page.screenshot({ omitBackground: true }));
  await page.close();
}
await browser.close();
