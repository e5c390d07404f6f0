from alexnet_exp.cli import main

main()
