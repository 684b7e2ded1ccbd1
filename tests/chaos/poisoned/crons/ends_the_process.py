raise SystemExit("this module ends whoever imports it")
