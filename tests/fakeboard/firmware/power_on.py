__import__("start").start(__import__("sys").argv[1], globals())
