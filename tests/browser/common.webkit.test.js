// The common suite in WebKitGTK.
import { commonSuite } from './common-suite.js';
import * as engine from './harness/webkit.js';

commonSuite(engine);
