import time, subprocess
def test_dist(place, capsys):
    for task in ("names","topics"):
        t=time.time(); c=place.build("--devices","0,1","--until","finetune",task=task)
        with capsys.disabled():
            print(capsys.readouterr(), c, time.time()-t)
            print(subprocess.run(f"find {place.cache} -name 'workerlog*' -o -name launch.log -o -name result.json | xargs tail -n 40", shell=True, capture_output=True, text=True).stdout[-9000:])
